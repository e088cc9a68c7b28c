import CLinux
import Glibc
package import LinuxIO
import SystemPackage

/// A text of bytes that this process writes again and again, and another one reads whole at any moment, also once this one is dead.
///
/// It is memory that both have mapped: writing is no system call, and neither waits. There are two places, and a number that says which
/// of them counts; a writer that is killed in the middle of writing leaves the other one. Beside the text there are words, which
/// either process reads and writes.
package final class SharedNote: Sendable {
  /// The most bytes that a text may have: 256 KiB. (The memory counts as a file for a limit on the sizes of files, ulimit -f.)
  package static let limit = 256 << 10

  /// Words beside the text, each 0 at first.
  package enum Word: Int, CaseIterable, Sendable {
    /// Counted up by the writer, which shows that it is alive and gets on.
    case beat
    /// What the reader has done so far.
    case stage
  }

  private let file: File
  private let mapping: Mapping

  /// Memory of its own, which `descriptor` hands to the other process.
  ///
  /// - Throws: what memfd_create(2), ftruncate(2) and mmap(2) give.
  package convenience init() throws(SystemCallError) {
    try self.init(
      try File.inMemory(name: "shared note", byteCount: UInt64(Self.head + 2 * Self.limit)))
  }

  /// The memory of another process, which `descriptor` is of; the caller keeps it.
  ///
  /// - Throws: what open(2) and mmap(2) give; `.unsuitable`, `.outsideFile` for something that is no such memory.
  package convenience init(opening descriptor: CInt) throws(SystemCallError) {
    try self.init(
      try File.open(
        FilePath("/proc/self/fd/\(descriptor)"), access: .readWrite, directIO: .off))
  }

  private init(_ file: File) throws(SystemCallError) {
    self.file = file
    mapping = try Mapping(
      file, range: 0..<UInt64(Self.head + 2 * Self.limit), mode: .sharedWrite)
  }

  /// The descriptor of the memory, valid as long as this is referenced.
  package var descriptor: CInt { file.bufferedDescriptor }

  private static let head = 4096
  private static let (number, counts) = (0, 1)
  private static let words = 3

  /// Writes `bytes` in place of what was written before. One thread at a time.
  ///
  /// - Throws: EMSGSIZE where there are more than `limit`; then the text stays as it was.
  package func write(_ bytes: [UInt8]) throws(SystemCallError) {
    guard bytes.count <= Self.limit else {
      throw SystemCallError(
        call: .write, errno: Errno(rawValue: EMSGSIZE), subject: .memory(byteCount: bytes.count))
    }
    let next = load(Self.number) &+ 1
    let place = Int(next % 2)
    // SAFETY: the place has room for `limit` bytes, and it is not read until the number says so.
    unsafe mapping.withUnsafeMutableBytes { all in
      unsafe UnsafeMutableRawBufferPointer(rebasing: all[Self.start(of: place)...])
        .copyBytes(from: bytes)
    }
    store(Self.counts + place, UInt64(bytes.count))
    store(Self.number, next)
  }

  /// How often something was written.
  package var version: UInt64 { load(Self.number) }

  /// The bytes that were written last; empty where there are none.
  package func read() -> [UInt8] {
    while true {
      let before = load(Self.number)
      let place = Int(before % 2)
      let count = min(Int(clamping: load(Self.counts + place)), Self.limit)
      // SAFETY: the place has `limit` bytes. The writer may change them meanwhile, which the number shows then.
      let bytes = unsafe mapping.withUnsafeBytes { all in
        unsafe Array(all[Self.start(of: place)..<Self.start(of: place) + count])
      }
      CLinux_fence()
      if load(Self.number) == before { return bytes }
    }
  }

  /// A word.
  package subscript(word: Word) -> UInt64 {
    get { load(Self.words + word.rawValue) }
    set { store(Self.words + word.rawValue, newValue) }
  }

  private static func start(of place: Int) -> Int { head + place * limit }

  private func load(_ index: Int) -> UInt64 {
    // SAFETY: one of the words at the beginning of the memory, which are aligned.
    unsafe mapping.withUnsafeBytes { unsafe CLinux_load(address(index, $0)) }
  }

  private func store(_ index: Int, _ value: UInt64) {
    // SAFETY: as in `load`.
    unsafe mapping.withUnsafeMutableBytes {
      unsafe CLinux_store(UnsafeMutablePointer(mutating: address(index, .init($0))), value)
    }
  }

  @unsafe
  private func address(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt64> {
    unsafe bytes.bindMemory(to: UInt64.self).baseAddress.unsafelyUnwrapped + index
  }
}
