import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Rounds over memory that goes away, and memory that is mapped.
@Suite struct LiveMemoryTests {
  @Test func slotsOfPagesThatBecomeZeroAreCleared() throws {
    let test = try LiveSaveTests()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], zeroFraction: 0, using: &generator)
    let report = try test.save(guest) { _ in
      for page in [0, 63, 64, 199] {
        guest.blocks[0].pages.put([UInt8](repeating: 0, count: 4096), at: page * 4096)
      }
    }
    #expect(report.clearedPages == 4)
    try test.expectImage(of: guest)
  }

  /// Memory that a source says is not there is zero, whatever the slots hold from an earlier round.
  @Test func whatWasGivenBackIsZero() throws {
    let test = try LiveSaveTests()
    let directory = test.directory
    let memory = try File.inMemory(name: "block", byteCount: 300 * 4096)
    for page in 0..<300 { try memory.write([UInt8(page & 127) + 1], at: UInt64(page) * 4096) }
    let block = try RAMBlock(idstr: "ram", usedLength: ByteCount(300 * 4096), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: try FilePages(reading: memory))],
      tail: [.bytes(TestGuest.tail)], for: "plan")
    var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    try memory.punchHole(4096..<(270 * 4096))
    let report = try save.writePages(plan).finish().live
    #expect(report?.clearedPages == 269)
    let restored = try restoreToMemory(test.path)
    #expect(restored == [try memory.readBytes(at: 0, count: 300 * 4096)])
    #expect(directory.path == test.directory.path)
  }

  /// Memory that is mapped here is copied before it is hashed.
  @Test func mappedMemoryIsSavedLive() throws {
    let test = try LiveSaveTests()
    let mapping = try Mapping(anonymousByteCount: 300 * 4096)
    unsafe mapping.withUnsafeMutableBytes { bytes in
      for page in 0..<300 { unsafe bytes[page * 4096 + page] = 7 }
    }
    let block = try RAMBlock(idstr: "ram", usedLength: ByteCount(300 * 4096), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: MappedPages(mapping))],
      tail: [.bytes(TestGuest.tail)], for: "plan")
    var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[5 * 4096] = 9 }
    let report = try save.writePages(plan).finish()
    #expect(report.live?.lastRound.changedBytes == 4096)
    let expected = unsafe mapping.withUnsafeBytes { unsafe Array($0) }
    #expect(try restoreToMemory(test.path) == [expected])
  }
}
