import MappedRAM
import MappedRAMFormat
import Testing

@testable import QEMUControl

/// The rounds of QEMU's own live migration, as they are told apart from outside.
@Suite struct MigrationRoundsTests {
  func info(_ round: UInt64, left: UInt64, _ status: MigrationInfo.Status = .active)
    -> MigrationInfo
  {
    MigrationInfo(
      status: status,
      ram: MigrationInfo.RAM(
        transferred: 0, remaining: left, total: 1000, normalPages: 0, zeroPages: 0, rounds: round,
        dirtyBytesPerSecond: 4096 * round),
      blockedReasons: [], expectedDowntimeMilliseconds: 700)
  }

  func doesNotConverge(_ left: [UInt64], _ live: LiveOptions = LiveOptions()) -> Bool {
    var rounds = MigrationRounds()
    for (number, bytes) in left.enumerated() {
      _ = rounds.take(info(UInt64(number) + 1, left: bytes))
      // The rest of the round says nothing.
      _ = rounds.take(info(UInt64(number) + 1, left: bytes / 2))
    }
    return rounds.notConverging(live) != nil
  }

  @Test func nothingIsToldBeforeRAMIsMoved() {
    var rounds = MigrationRounds()
    #expect(rounds.take(MigrationInfo(status: .setup, blockedReasons: [])) == nil)
    #expect(rounds.take(info(0, left: 1000)) == nil)
    #expect(rounds.number == 0 && rounds.notConverging(LiveOptions()) == nil)
  }

  @Test func theFirstRoundTellsNoPause() {
    var rounds = MigrationRounds()
    #expect(
      rounds.take(info(1, left: 1000)) == LiveProgress(round: 1, dirtyBytesPerSecond: 4096))
    #expect(
      rounds.take(info(2, left: 500))
        == LiveProgress(
          round: 2, dirtyBytesPerSecond: 8192, expectedDowntime: .milliseconds(700)))
  }

  @Test func roundsThatShrinkGoOn() {
    #expect(!doesNotConverge([1000]))
    #expect(!doesNotConverge([1000, 900]))
    #expect(!doesNotConverge([1000, 500, 450, 200]))
  }

  @Test func roundsThatDoNotShrinkDoNotConverge() {
    #expect(doesNotConverge([1000, 901]))
    #expect(doesNotConverge([1000, 1000]))
    #expect(doesNotConverge([1000, 500, 600]))
  }

  @Test func noMoreRoundsThanAreAllowed() {
    let live = LiveOptions(maximumRounds: 2)
    #expect(!doesNotConverge([1000, 500], live))
    #expect(doesNotConverge([1000, 500, 200], live))
  }

  /// At the end QEMU counts on, and has nothing left.
  @Test func theEndIsNoRound() {
    var rounds = MigrationRounds()
    _ = rounds.take(info(1, left: 1000))
    _ = rounds.take(info(2, left: 100))
    _ = rounds.take(info(4, left: 0, MigrationInfo.Status(rawValue: "device")))
    _ = rounds.take(info(5, left: 0, .completed))
    #expect(rounds.number == 2)
  }

  /// What was left and written at the begin of each round, and at the end.
  @Test func theReportHasTheRounds() {
    let start = ContinuousClock.now
    var rounds = MigrationRounds()
    func take(
      _ round: UInt64, _ left: UInt64, _ written: UInt64, _ milliseconds: Int,
      _ status: MigrationInfo.Status = .active
    ) {
      var info = info(round, left: left, status)
      info.ram?.transferred = written
      _ = rounds.take(info, at: start + .milliseconds(milliseconds))
    }
    take(1, 1000, 0, 0)
    take(1, 500, 450, 40)
    take(2, 300, 800, 100)
    take(2, 100, 990, 120)
    take(3, 0, 1070, 150, .completed)
    rounds.hasConverged = false
    let found = rounds.report(pause: .milliseconds(25), clearedPages: 7)
    #expect(
      found.rounds == [
        LiveRound(readBytes: 1000, changedBytes: 800, elapsed: .milliseconds(100)),
        LiveRound(readBytes: 300, changedBytes: 190, elapsed: .milliseconds(20)),
      ])
    #expect(
      found.lastRound
        == LiveRound(readBytes: 100, changedBytes: 80, elapsed: .milliseconds(25)))
    #expect(found.forecast?.expectedDowntime == .milliseconds(700))
    #expect(found.forecast?.dirtyBytesPerSecond == 8192)
    #expect(!found.hasConverged && found.hashBytes == 0 && found.clearedPages == 7)
    // One that nobody has seen.
    #expect(MigrationRounds().report(pause: .zero, clearedPages: 0).rounds.isEmpty)
  }

  @Test func theErrorHasWhatIsKnown() {
    var rounds = MigrationRounds()
    _ = rounds.take(info(1, left: 1000))
    _ = rounds.take(info(2, left: 1000))
    #expect(
      rounds.notConverging(LiveOptions())
        == .doesNotConverge(
          rounds: 2, expected: .milliseconds(700), wanted: .milliseconds(300),
          dirtyBytesPerSecond: 8192))
  }

  @Test func parametersSayWhatIsAllowed() {
    let found = FileMigration.savingParameters(
      direct: true,
      live: LiveOptions(maximumDowntime: .milliseconds(250), bytesPerSecond: 5 << 20))
    #expect(found["downtime-limit"] == .integer(250))
    #expect(found["max-bandwidth"] == .integer(5 << 20))
    let longest = FileMigration.savingParameters(
      direct: true, live: LiveOptions(maximumDowntime: .seconds(9000)))
    #expect(longest["downtime-limit"] == .integer(2_000_000))
    #expect(longest["max-bandwidth"] == .integer(0))
    #expect(FileMigration.savingParameters(direct: false)["downtime-limit"] == nil)
  }

  /// QEMU expects of its pause only what it writes in it: the rest is kept back.
  @Test(arguments: [(100, 30, 70), (40, 30, 10), (36, 30, 9), (20, 30, 5), (2, 30, 1), (0, 30, 1)])
  func whatThePauseTakesBesidesIsNotForWriting(wanted: Int, overhead: Int, limit: Int64) {
    let found = FileMigration.savingParameters(
      direct: true, live: LiveOptions(maximumDowntime: .milliseconds(wanted)),
      overhead: .milliseconds(overhead))
    #expect(found["downtime-limit"] == .integer(limit))
  }

  /// QEMU dies of a write that fails where it saves with several channels.
  @Test(arguments: [true, false])
  func qemuSavesWithOneChannel(direct: Bool) {
    let found = FileMigration.savingParameters(direct: direct, live: LiveOptions())
    #expect(found["multifd-channels"] == 1)
    #expect(found["zero-page-detection"] == "legacy")
    #expect(found["direct-io"] == .bool(direct))
    #expect(FileMigration.loadingParameters(direct: direct)["multifd-channels"] == 8)
  }
}
