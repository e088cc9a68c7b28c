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

  /// Reads a line; `nil` where it is none.
  init?(parsing line: some StringProtocol) {
    let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard words.count >= 5 else { return nil }
    let ends = words[0].split(separator: "-")
    let device = words[3].split(separator: ":")
    guard ends.count == 2, let start = UInt64(ends[0], radix: 16),
      let end = UInt64(ends[1], radix: 16), start <= end, words[1].utf8.count == 4,
      let offset = UInt64(words[2], radix: 16), device.count == 2,
      let major = UInt32(device[0], radix: 16), let minor = UInt32(device[1], radix: 16),
      let number = UInt64(words[4])
    else { return nil }
    addresses = start..<end
    isShared = words[1].last == "s"
    fileOffset = offset
    inode = FileIdentity(major: major, minor: minor, number: number)
    path = words.count > 5 ? String(words[5].drop { $0 == " " }) : ""
  }

  /// All parts of the address space of a process, ascending.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process; ENOENT where it is gone.
  public static func all(of processID: Int32) throws(SystemCallError) -> [MemoryMap] {
    let path = FilePath("/proc/\(processID)/maps")
    let descriptor = try openDescriptor(path, flags: O_RDONLY)
    let text = try ProcessText.read(descriptor, path)
    return text.split(separator: "\n").compactMap { MemoryMap(parsing: $0) }
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
