import CLinux
import Glibc
import SystemPackage

/// A part of a process's address space, as a line of /proc/PID/maps tells it (proc_pid_maps(5)).
public struct MemoryMap: Equatable, Sendable {
  /// Its addresses.
  public var addresses: Range<UInt64>
  /// Whether writes go to the file, or are seen by others (MAP_SHARED).
  public var isShared: Bool
  /// Where the first byte is in the file.
  public var fileOffset: UInt64
  /// The file's device, and its number there; 0 for memory without a file.
  public var inode: FileIdentity
  /// The file's path as the kernel has it, or a name in brackets; often empty.
  public var path: String

  /// Reads a line, without its end; `nil` where it is none.
  init?(parsing line: ArraySlice<UInt8>) {
    var rest = line
    guard let start = rest.takeNumber(radix: 16, endingIn: "-"),
      let end = rest.takeNumber(radix: 16, endingIn: " "), start < end,
      let flags = rest.takeWord(), flags.count == 4,
      let offset = rest.takeNumber(radix: 16, endingIn: " "),
      let major = rest.takeNumber(radix: 16, endingIn: ":").flatMap(UInt32.init(exactly:)),
      let minor = rest.takeNumber(radix: 16, endingIn: " ").flatMap(UInt32.init(exactly:)),
      let number = rest.takeNumber(radix: 10, endingIn: " ")
    else { return nil }
    addresses = start..<end
    isShared = flags.last == UInt8(ascii: "s")
    fileOffset = offset
    inode = FileIdentity(major: major, minor: minor, number: number)
    path = String(decoding: rest.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
  }

  /// All parts of the address space of a process, ascending.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process; ENOENT where it is gone.
  public static func all(of processID: Int32) throws(SystemCallError) -> [MemoryMap] {
    try ProcessText.lines(of: FilePath("/proc/\(processID)/maps")).compactMap {
      MemoryMap(parsing: $0)
    }
  }
}

/// What a file is, whatever its path.
public struct FileIdentity: Equatable, Hashable, Sendable {
  /// The first of the device's numbers.
  public var major: UInt32
  /// The second one.
  public var minor: UInt32
  /// The number on the device; 0 for no file.
  public var number: UInt64

  /// An identity of its parts.
  public init(major: UInt32, minor: UInt32, number: UInt64) {
    self.major = major
    self.minor = minor
    self.number = number
  }

  init(_ status: stat) {
    self.init(major: 0, minor: 0, number: UInt64(status.st_ino))
    // SAFETY: both are numbers of this value.
    unsafe CLinux_deviceNumbers(UInt64(status.st_dev), &major, &minor)
  }
}

extension ArraySlice<UInt8> {
  /// Takes the bytes before the first space, and the space; `nil` without one.
  fileprivate mutating func takeWord() -> ArraySlice<UInt8>? {
    guard let space = firstIndex(of: UInt8(ascii: " ")) else { return nil }
    let word = self[..<space]
    self = self[(space + 1)...]
    return word
  }

  /// Takes a number and the byte `end` behind it; `nil` where there is no number of 64 bits without a sign.
  fileprivate mutating func takeNumber(radix: Int, endingIn end: Unicode.Scalar) -> UInt64? {
    guard let place = firstIndex(of: UInt8(ascii: end)),
      first != UInt8(ascii: "+"), first != UInt8(ascii: "-"),
      let number = UInt64(String(decoding: self[..<place], as: UTF8.self), radix: radix)
    else { return nil }
    self = self[(place + 1)...]
    return number
  }
}
