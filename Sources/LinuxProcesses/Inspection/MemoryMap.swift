import CLinux
import Glibc
package import LinuxIO
import SystemPackage

/// A part of a process's address space, as a line of /proc/PID/maps tells it (proc_pid_maps(5)).
package struct MemoryMap: Equatable, Sendable {
  /// Its addresses.
  package var addresses: Range<UInt64>
  /// Whether writes go to the file, or are seen by others (MAP_SHARED).
  package var isShared: Bool
  /// Whether it may be written. A shared file then is open for writing, as far as the process's own rights go.
  package var isWritable: Bool
  /// Where the first byte is in the file.
  package var fileOffset: UInt64
  /// The file's device, and its number there; 0 for memory without a file.
  package var inode: MappedFileIdentity
  /// The file's path as the kernel has it, or a name in brackets; often empty.
  package var path: String

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
    isWritable = flags.dropFirst().first == UInt8(ascii: "w")
    fileOffset = offset
    inode = MappedFileIdentity(major: major, minor: minor, number: number)
    path = String(decoding: rest.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
  }

  /// All parts of the address space of a process, ascending.
  ///
  /// - Throws: EACCES or EPERM without the right to trace the process; ENOENT where it is gone.
  package static func all(of processID: Int32) throws(SystemCallError) -> [MemoryMap] {
    try ProcessText.lines(of: FilePath("/proc/\(processID)/maps")).compactMap {
      MemoryMap(parsing: $0)
    }
  }
}

/// What a file is, whatever its path, as /proc/PID/maps tells it.
///
/// To be compared with others of its kind alone: file systems with subvolumes or layers (btrfs, overlayfs) give another device there
/// than in stat(2). `File.mappedIdentity()` gives that of an open file.
package struct MappedFileIdentity: Equatable, Hashable, Sendable {
  /// The first of the device's numbers.
  package var major: UInt32
  /// The second one.
  package var minor: UInt32
  /// The number on the device; 0 for no file.
  package var number: UInt64

  /// An identity of its parts.
  package init(major: UInt32, minor: UInt32, number: UInt64) {
    self.major = major
    self.minor = minor
    self.number = number
  }
}

extension File {
  /// What the file is, as the `maps` of any process that has it mapped tell it: it is mapped for a moment, and not touched.
  ///
  /// - Throws: what mmap gives; ENODEV for a file that cannot be mapped.
  /// - Complexity: O(mappings of this process).
  package func mappedIdentity() throws(SystemCallError) -> MappedFileIdentity {
    // A file of huge pages is mapped in those, which are its preferred size of I/O (hugetlbfs). Past the end of a file is as good.
    let byteCount = max(try status(of: bufferedDescriptor, path).preferredIOBlockSize, 1 << 16)
    // SAFETY: a new mapping, at a place of the kernel's choice, that is not touched.
    let found = unsafe mmap(
      nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE, bufferedDescriptor, 0)
    guard let found = unsafe found, unsafe found != MAP_FAILED else {
      throw SystemCallError(call: .mmap, errno: Errno(rawValue: errno), subject: .file(path))
    }
    // SAFETY: the mapping made above, whole, and there is no pointer into it.
    defer { unsafe munmap(found, byteCount) }
    let address = UInt64(UInt(bitPattern: found))
    let maps = try MemoryMap.all(of: getpid())
    guard let map = maps.first(where: { $0.addresses.contains(address) }) else {
      throw SystemCallError(call: .mmap, errno: .noSuchFileOrDirectory, subject: .file(path))
    }
    return map.inode
  }
}

extension UInt8 {
  /// The value of the digit that this is in ASCII, of base 16 or less.
  fileprivate var hexDigit: UInt64? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(self - UInt8(ascii: "a")) + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(self - UInt8(ascii: "A")) + 10
    default: nil
    }
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
  fileprivate mutating func takeNumber(radix: UInt64, endingIn end: Unicode.Scalar) -> UInt64? {
    var number: UInt64 = 0
    var index = startIndex
    // Without strings: QEMU has some hundred lines of five numbers, and a restore waits for them.
    while index < endIndex, self[index] != UInt8(ascii: end) {
      guard let digit = self[index].hexDigit, digit < radix else { return nil }
      let (shifted, isOver) = number.multipliedReportingOverflow(by: radix)
      let (sum, isPast) = shifted.addingReportingOverflow(digit)
      guard !isOver, !isPast else { return nil }
      number = sum
      index += 1
    }
    guard index > startIndex, index < endIndex else { return nil }
    self = self[(index + 1)...]
    return number
  }
}
