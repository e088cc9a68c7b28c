import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Rounds that are told what has changed.
@Suite struct ChangeTrackingTests {
  /// Tells of the pages that a test names.
  final class Told: ChangeTracking {
    private let pages = Monitor<Set<Int>>([])
    private let readings = Monitor(0)

    func add(_ page: Int) { pages.withLock { _ = $0.insert(page) } }

    func nextChanged(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
      readings.withLock { $0 += 1 }
      let wanted = Int(range.lowerBound / 4096)..<Int((range.upperBound + 4095) / 4096)
      let found = pages.withLock { $0.filter(wanted.contains).min() }
      guard let found else { return nil }
      return (UInt64(found) * 4096..<UInt64(found + 1) * 4096).clamped(to: range)
    }

    var count: Int { readings.withLock { $0 } }
  }

  @Test func onlyWhatMayHaveChangedIsRead() throws {
    let test = try LiveSaveTests()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 40], zeroFraction: 0, using: &generator)
    let told = Told()
    let report = try test.save(guest, rounds: 2, tracking: ["ram0": told]) { round in
      for page in [0, 5, 6, 255, 256, 699] {
        told.add(page)
        guest.blocks[0].pages.put([UInt8(round)], at: page * 4096)
      }
      // Said to have changed, and has not.
      told.add(77)
    }
    try test.expectImage(of: guest)
    #expect(report.tracking == .softDirty)
    #expect(report.rounds[0].readBytes == 740 * 4096)
    #expect(report.rounds[1].readBytes == (7 + 40) * 4096)
    #expect(report.lastRound.readBytes == (7 + 40) * 4096)
    #expect(report.lastRound.changedBytes == 6 * 4096)
  }

  /// The first round asks nobody: what was there before the tracking began is in no slot yet.
  @Test func theFirstRoundReadsAll() throws {
    let test = try LiveSaveTests()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [100], zeroFraction: 0, using: &generator)
    let told = Told()
    var save = try LiveSave(
      guest.plan(), to: test.path, live: LiveSaveTests.rounds(1), tracking: ["ram0": told])
    try save.runRounds()
    #expect(told.count == 0 && save.rounds[0].changedBytes == 100 * 4096)
    _ = try save.finish(guest.plan())
    try test.expectImage(of: guest)
  }

  @Test func aPageThatBecomesZeroIsToldLikeAnyOther() throws {
    let test = try LiveSaveTests()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], zeroFraction: 0, using: &generator)
    let told = Told()
    let report = try test.save(guest, tracking: ["ram0": told]) { _ in
      for page in [0, 63, 64, 199] {
        told.add(page)
        guest.blocks[0].pages.put([UInt8](repeating: 0, count: 4096), at: page * 4096)
      }
    }
    #expect(report.clearedPages == 4)
    try test.expectImage(of: guest)
  }

  /// Memory that a source says is not there is zero, whatever the slots hold from an earlier round.
  @Test(arguments: [true, false]) func whatWasGivenBackIsZero(_ isTracked: Bool) throws {
    let test = try LiveSaveTests()
    let directory = test.directory
    let memory = try File.inMemory(name: "block", byteCount: 300 * 4096)
    for page in 0..<300 { try memory.write([UInt8(page & 127) + 1], at: UInt64(page) * 4096) }
    let block = try RAMBlock(idstr: "ram", usedLength: ByteCount(300 * 4096), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: try FilePages(reading: memory))],
      tail: [.bytes(TestGuest.tail)], for: "plan")
    let told = Told()
    for page in 0..<300 { told.add(page) }
    var save = try LiveSave(
      plan, to: test.path, live: LiveSaveTests.rounds(1), tracking: isTracked ? ["ram": told] : [:])
    try save.runRounds()
    try memory.punchHole(4096..<(270 * 4096))
    let report = try save.finish(plan).live
    #expect(report.clearedPages == 269)
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
    var save = try LiveSave(plan, to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[5 * 4096] = 9 }
    #expect(try save.finish(plan).live.lastRound.changedBytes == 4096)
    let expected = unsafe mapping.withUnsafeBytes { unsafe Array($0) }
    #expect(try restoreToMemory(test.path) == [expected])
  }
}
