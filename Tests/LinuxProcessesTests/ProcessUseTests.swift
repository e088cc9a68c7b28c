import Glibc
import LinuxIO
import Testing

@testable import LinuxProcesses

/// What a process has used, as the kernel counts it.
@Suite struct ProcessUseTests {
  @Test func aThreadsTimeIsPartOfItsProcesss() throws {
    // The first thread has the process's number.
    let ofThread = try ProcessorTime.used(byThread: getpid(), of: getpid())
    #expect(ofThread <= (try ProcessorTime.used(by: getpid())))
  }

  @Test func whatIsWrittenCountsWhetherItReachesADiskOrNot() throws {
    let file = try File.inMemory(name: "written", byteCount: 1 << 20)
    let before = try ProcessTransfers.written(by: getpid())
    try file.write([UInt8](repeating: 1, count: 1 << 20), at: 0)
    #expect(try ProcessTransfers.written(by: getpid()) >= before + (1 << 20))
  }

  @Test func whoIsNotThereHasUsedNothing() {
    #expect(throws: SystemCallError.self) { try ProcessorTime.used(byThread: -1, of: getpid()) }
    #expect(throws: SystemCallError.self) { try ProcessTransfers.written(by: -1) }
  }
}
