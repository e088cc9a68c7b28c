import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct PendingFileFailureTests {
  @Test(
    .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
    arguments: PendingFileTests.namings)
  func aFullFileSystemLeavesNothingOfTheNewAndAllOfTheOld(naming: PendingFile.Naming) throws {
    let small = try SmallFileSystem(byteCount: 1 << 20)
    let path = small.file("vm.img")
    try makeFile(path, [9])
    do {
      let pending = try PendingFile.create(at: path, naming: naming)
      let bytes = [UInt8](repeating: 1, count: 2 << 20)
      let error = #expect(throws: SystemCallError.self) {
        try pending.file.write(bytes, at: 0)
      }
      #expect(error?.errno == .noSpace)
    }
    #expect(try small.names() == ["vm.img"])
    #expect(try contents(path) == [9])
    // The space comes back: at once, or when a child that another test has just forked lets go of its copy of the descriptor.
    let deadline = ContinuousClock.now + .seconds(300)
    while try small.freeByteCount() < 900_000 {
      try #require(ContinuousClock.now < deadline, "What was written and given up still takes room")
      usleep(10_000)
    }
    try makeFile(small.file("b"), [UInt8](repeating: 1, count: 900_000))
  }

  /// A child writes and is killed before its commit.
  @Test func aKilledProcessLeavesNothing() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("vm.img").string
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let pending = try PendingFile.create(at: FilePath(path))
      try pending.file.write([UInt8](repeating: 1, count: 1 << 20), at: 0)
      try pending.file.syncData()
      kill(getpid(), SIGKILL)
      try pending.commit()
    }
    #expect(try names(in: directory.path) == [])
  }
}
