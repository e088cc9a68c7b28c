import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

@Suite struct ProcessFilesTests {
  private func open(_ wanted: MappedFileIdentity, access: File.Access) throws -> File? {
    try ProcessFiles.open(wanted, of: getpid(), access: access)
  }

  private func identity(behind mapping: Mapping) throws -> MappedFileIdentity {
    let maps = try MemoryMap.all(of: getpid())
    guard case .sharedFile(let inode, _, _)? = MemoryBacking(of: mapping.addresses, in: maps)
    else { throw HarnessError("a mapping without a file") }
    return inode
  }

  @Test func aFileInMemoryIsFoundByItsDescriptor() throws {
    let made = try File.inMemory(name: "ram", byteCount: 1 << 20)
    let mapping = try Mapping(made, range: 0..<1 << 20, mode: .sharedWrite)
    let wanted = try identity(behind: mapping)
    #expect(wanted == (try made.mappedIdentity()))
    let found = try #require(try open(wanted, access: .readWrite))
    #expect(found.bufferedDescriptor != made.bufferedDescriptor)
    try found.write([1, 2, 3], at: 5000)
    #expect(unsafe Array(mapping.bytes[5000..<5003]) == [1, 2, 3])
    let reader = try #require(try open(wanted, access: .read))
    #expect(throws: SystemCallError.self) { try reader.write([1], at: 0) }
    #expect(try reader.readBytes(at: 5001, count: 1) == [2])
  }

  /// Another file has the path by then: the mapped one is opened, not what is at the path.
  @Test func aFileThatWasReplacedIsStillFound() throws {
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("a"), [7, 7])
    try makeFile(directory.file("b"), [8, 8])
    let file = try File.open(directory.file("a"), access: .read, directIO: .off)
    let mapping = try Mapping(file, range: 0..<2, mode: .read)
    let wanted = try file.mappedIdentity()
    let renamed = unsafe directory.file("b").withPlatformString { from in
      unsafe directory.file("a").withPlatformString { unsafe rename(from, $0) }
    }
    try #require(renamed == 0)
    #expect(try identity(behind: mapping) == wanted)
    let found = try #require(try open(wanted, access: .read))
    #expect(try found.readBytes(at: 0, count: 2) == [7, 7])
  }

  @Test(arguments: [(0, 0, 0), (0, 1, .max), (.max, .max, 1)] as [(UInt32, UInt32, UInt64)])
  func aFileThatTheProcessDoesNotHaveIsNotFound(
    major: UInt32, minor: UInt32, number: UInt64
  ) throws {
    let wanted = MappedFileIdentity(major: major, minor: minor, number: number)
    #expect(try open(wanted, access: .read) == nil)
  }

  /// A FIFO that the process has open, which would wait for a writer if it were opened, is left alone.
  @Test func whatIsNoFileIsLeftAlone() throws {
    var ends: [CInt] = [-1, -1]
    let made = unsafe pipe(&ends)
    try #require(made == 0)
    defer { ends.forEach { close($0) } }
    var found = stat()
    let looked = unsafe fstat(ends[0], &found)
    try #require(looked == 0)
    let device = UInt64(found.st_dev)
    let wanted = MappedFileIdentity(
      major: UInt32(device >> 8 & 0xfff), minor: UInt32(device & 0xff), number: UInt64(found.st_ino)
    )
    #expect(try open(wanted, access: .read) == nil)
    #expect(throws: SystemCallError.self) {
      try File.open(FilePath("/proc/self/fd/\(ends[0])"), access: .read)
    }
  }

  @Test func theFileOfAnotherProcessIsFound() throws {
    let process = try IdleProcess()
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("in"), [5, 6])
    let file = try File.open(directory.file("in"), access: .read, directIO: .off)
    let wanted = try file.mappedIdentity()
    #expect(try ProcessFiles.open(wanted, of: process.processID, access: .read) == nil)
    var options = ChildProcess.Options()
    options.standardInput = file.bufferedDescriptor
    let child = try ChildProcess(starting: "sleep", ["600"], options)
    let found = try #require(
      try ProcessFiles.open(wanted, of: child.processID, access: .read))
    #expect(try found.readBytes(at: 0, count: 2) == [5, 6])
    #expect(try found.mappedIdentity() == wanted)
  }
}
