import Glibc
import SystemPackage

/// The text files of /proc.
enum ProcessText {
  /// Reads a file of /proc, which has no size, to its end.
  static func read(
    _ descriptor: borrowing OwnedDescriptor, _ path: FilePath
  ) throws(SystemCallError) -> String {
    let number = descriptor.rawValue
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = try retryingInterrupted(.read, .file(path)) {
        // SAFETY: the array is as long as the call is told, and lives for it.
        unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, $0.count) }
      }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}
