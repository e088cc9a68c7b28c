import Glibc
package import SystemPackage

/// The text files of /proc.
package enum ProcessText {
  /// The most bytes that are read: 65,530 mappings, the kernel's default limit (vm.max_map_count), take some 10 MiB.
  package static let limit = 256 << 20

  /// The lines of a file of /proc, which has no size.
  ///
  /// Bytes, since names in them are: a name may end with a carriage return, which with the line's end makes one `Character`.
  ///
  /// - Throws: what open(2) and read(2) give; EFBIG for more bytes than `limit`.
  package static func lines(
    of path: FilePath, limit: Int = Self.limit
  ) throws(SystemCallError) -> [ArraySlice<UInt8>] {
    try bytes(of: path, limit: limit).split(separator: UInt8(ascii: "\n"))
  }

  /// The words of such a file, each of which ends with a zero byte; empty ones among them.
  ///
  /// - Throws: as `lines`.
  package static func words(of path: FilePath) throws(SystemCallError) -> [ArraySlice<UInt8>] {
    let bytes = try bytes(of: path, limit: limit)
    guard !bytes.isEmpty else { return [] }
    let words = bytes.split(separator: 0, omittingEmptySubsequences: false)
    return bytes.last == 0 ? words.dropLast() : words
  }

  private static func bytes(of path: FilePath, limit: Int) throws(SystemCallError) -> [UInt8] {
    let descriptor = try openDescriptor(path, flags: O_RDONLY)
    let number = descriptor.rawValue
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = try retryingInterrupted(.read, .file(path)) {
        // SAFETY: the array is as long as the call is told, and lives for it.
        unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, $0.count) }
      }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= limit else {
        throw SystemCallError(call: .read, errno: .fileTooLarge, subject: .file(path))
      }
    }
  }
}
