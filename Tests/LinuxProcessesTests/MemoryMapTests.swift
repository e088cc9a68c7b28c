import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@testable import LinuxProcesses

@Suite struct MemoryMapTests {
  private func parse(_ line: String) -> MemoryMap? { MemoryMap(parsing: Array(line.utf8)[...]) }

  @Test func aLineGivesItsFields() throws {
    let map = try #require(
      parse(
        "7f0c4be00000-7f0c53e00000 rw-s 00100000 fe:1b 1234567    /memfd:pc  ram (deleted)"))
    #expect(map.addresses == 0x7f0c_4be0_0000..<0x7f0c_53e0_0000)
    #expect(map.isShared && map.isWritable && map.fileOffset == 0x10_0000)
    #expect(map.inode == MappedFileIdentity(major: 0xfe, minor: 0x1b, number: 1_234_567))
    #expect(map.path == "/memfd:pc  ram (deleted)")
  }

  @Test func memoryWithoutAFileHasNoPath() throws {
    let map = try #require(parse("1000-2000 ---p 00000000 00:00 0 "))
    #expect(map.inode == MappedFileIdentity(major: 0, minor: 0, number: 0))
    #expect(!map.isShared && !map.isWritable && map.path == "")
  }

  @Test(arguments: [
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
    "0-ffffffffffffffff r--p ffffffffffffffff ffffffff:ffffffff 18446744073709551615 /x",
  ])
  func theLargestNumbersFit(line: String) {
    #expect(parse(line) != nil)
  }

  @Test(arguments: [
    "", "\n", "-", "1000", "1000-2000", "2000-1000 rw-p 00000000 00:00 0 ",
    "1000-1000 rw-p 00000000 00:00 0 ", "1000-2000 rw- 00000000 00:00 0 ",
    "1000-2000 rw-pp 00000000 00:00 0 ", "-2000 rw-p 00000000 00:00 0 ",
    "1000-10000000000000000 rw-p 00000000 00:00 0 ", "1000-2000 rw-p 0x0 00:00 0 ",
    "1000-2000 rw-p 00000000 100000000:00 0 ", "1000-2000 rw-p 00000000 00:00 a ",
    "1000-2000 rw-p 00000000 00:00 18446744073709551616 ", "1000-2000 rw-p 00000000 0000 0 ",
    "+1000-2000 rw-p 00000000 00:00 0 ", "1000-2000 rw-p -0 00:00 0 ",
    "1000-2000 rw-p 00000000 00:00 +1 ", " 1000-2000 rw-p 00000000 00:00 0 ",
  ])
  func anythingElseIsRefused(line: String) {
    #expect(parse(line) == nil)
  }

  /// A line that is cut anywhere before its path is refused, never misread.
  @Test func aCutLineIsRefused() {
    let line = Array("7f00-7fff rw-s 00100000 fe:1b 1234567 ".utf8)
    for count in 0..<line.count { #expect(MemoryMap(parsing: line[..<count]) == nil) }
    #expect(MemoryMap(parsing: line[...]) != nil)
  }

  /// Names with spaces, newlines, a carriage return at the end, bytes that are no UTF-8, and the kernel's own mark.
  @Test(arguments: [
    "two  words", "new\nline", "return\r", "e\u{301}\u{200d}", "gone (deleted)", "\\012",
    "1000-2000 rw-p 00000000 00:00 0 ", " ",
  ])
  func aFileIsFoundWhateverItsName(name: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file(name)
    try makeFile(path, [UInt8](repeating: 1, count: 8192))
    let file = try File.open(path, access: .read, directIO: .off)
    let mapping = try Mapping(file, range: 4096..<8192, mode: .read)
    // A neighbour's line must not be lost with it.
    let other = try Mapping(anonymousByteCount: 4096)
    let maps = try MemoryMap.all(of: getpid())
    let found = try #require(maps.first { $0.addresses.contains(mapping.addresses.lowerBound) })
    #expect(found.inode == (try file.mappedIdentity()) && found.fileOffset == 4096)
    #expect(found.path == path.string.replacing("\n", with: "\\012"))
    #expect(MemoryBacking(of: other.addresses, in: maps) == .anonymous)
    let lines = try ProcessText.lines(of: "/proc/self/maps")
    #expect(lines.allSatisfy { MemoryMap(parsing: $0) != nil })
  }

  @Test func aTextOverTheLimitIsAnError() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("text")
    try makeFile(path, Array("a\n\nbc".utf8))
    #expect(
      try ProcessText.lines(of: path, limit: 5) == [Array("a".utf8)[...], Array("bc".utf8)[...]])
    #expect(throws: SystemCallError(call: .read, errno: .fileTooLarge, subject: .file(path))) {
      try ProcessText.lines(of: path, limit: 4)
    }
  }
}

@Suite struct MemoryBackingTests {
  private func backing(_ range: Range<UInt64>, _ lines: [String]) throws -> MemoryBacking? {
    let maps = try lines.map { try #require(MemoryMap(parsing: Array($0.utf8)[...])) }
    return MemoryBacking(of: range, in: maps)
  }

  @Test func onlyWhatIsMappedWithoutAGapHasSomethingBehindIt() throws {
    let lines = [
      "1000-2000 rw-p 00000000 00:00 0 ", "2000-3000 r--p 00000000 00:00 0 ",
      "4000-5000 rw-p 00000000 00:00 0 ",
    ]
    for range: Range<UInt64> in [
      0x1000..<0x1001, 0x1fff..<0x2001, 0x1000..<0x3000, 0x2fff..<0x3000, 0x4000..<0x5000,
      0x4fff..<0x5000,
    ] {
      #expect(try backing(range, lines) == .anonymous)
    }
    for range: Range<UInt64> in [
      0xfff..<0x1001, 0x2fff..<0x3001, 0x1000..<0x4001, 0x3000..<0x4000, 0x3fff..<0x4001,
      0x4000..<0x5001, 0..<UInt64.max, 0x5000..<0x5001,
    ] {
      #expect(try backing(range, lines) == nil)
    }
    #expect(try backing(0..<1, []) == nil)
  }

  @Test func partsOfOneFileThatFollowEachOtherAreOneFile() throws {
    let lines = [
      "10000-12000 rw-s 00005000 00:01 77 /memfd:a (deleted)",
      "12000-13000 rw-s 00007000 00:01 77 /memfd:a (deleted)",
      "13000-14000 rw-s 00009000 00:01 77 /memfd:a (deleted)",
      "14000-15000 rw-p 0000a000 00:01 77 /memfd:a (deleted)",
      "15000-16000 rw-p 0000b000 00:02 77 /b", "16000-17000 rw-p 0000c000 00:02 78 /c",
      "17000-18000 rw-p 00000000 00:00 0 ",
    ]
    let inode = MappedFileIdentity(major: 0, minor: 1, number: 77)
    #expect(
      try backing(0x10800..<0x12800, lines)
        == .sharedFile(inode, offset: 0x5800, path: "/memfd:a (deleted)"))
    #expect(
      try backing(0x14001..<0x14002, lines)
        == .privateFile(inode, offset: 0xa001, path: "/memfd:a (deleted)"))
    // A gap in the file, another way of sharing, another device, another file, no file.
    for end: UInt64 in [0x13800, 0x14800, 0x15800, 0x16800, 0x17800] {
      #expect(try backing(end - 0x1000..<end, lines) == .mixed)
    }
    #expect(try backing(0x10000..<0x18000, lines) == .mixed)
    #expect(try backing(0x10000..<0x18001, lines) == nil)
  }

  /// The second part is not what follows the first one, though the sum would wrap around to it.
  @Test func offsetsThatOverflowAreMixed() throws {
    let lines = [
      "10000-12000 rw-s fffffffffffff000 00:01 77 /a",
      "12000-13000 rw-s 00001000 00:01 77 /a",
    ]
    #expect(try backing(0x10000..<0x13000, lines) == .mixed)
  }

  @Test func memoryOfThisProcessIsFound() throws {
    let anonymous = try Mapping(anonymousByteCount: 3 << 20)
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("a"), [UInt8](repeating: 1, count: 8192))
    let file = try File.open(directory.file("a"), access: .readWrite, directIO: .off)
    let shared = try Mapping(file, range: 4096..<8192, mode: .sharedWrite)
    let copied = try Mapping(file, range: 0..<8192, mode: .privateWrite)
    let identity = try file.mappedIdentity()
    #expect(identity.number == (try status(file.path).st_ino))
    let maps = try MemoryMap.all(of: getpid())
    #expect(MemoryBacking(of: anonymous.addresses, in: maps) == .anonymous)
    let path = file.path.string
    #expect(
      MemoryBacking(of: shared.addresses, in: maps)
        == .sharedFile(identity, offset: 4096, path: path))
    #expect(
      MemoryBacking(of: copied.addresses, in: maps)
        == .privateFile(identity, offset: 0, path: path))
  }

  /// Memory that is shared with a child has a file of the kernel's own behind it, and is not taken for private memory.
  @Test func sharedMemoryWithoutAFileIsNotAnonymous() throws {
    let memory = unsafe mmap(
      nil, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    try #require(unsafe memory != MAP_FAILED)
    defer { unsafe munmap(memory, 8192) }
    let start = UInt64(UInt(bitPattern: memory))
    let backing = MemoryBacking(of: start..<start + 8192, in: try MemoryMap.all(of: getpid()))
    guard case .sharedFile(_, offset: 0, path: "/dev/zero (deleted)")? = backing else {
      Issue.record("\(String(describing: backing))")
      return
    }
  }
}
