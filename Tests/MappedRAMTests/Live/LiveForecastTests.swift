import MappedRAM
import Testing

/// When a live save pauses the VM: a pure function of what the rounds were like.
@Suite struct LiveForecastTests {
  static let mebibyte: UInt64 = 1 << 20

  /// A round that read 1,024 MiB and wrote `changed` MiB in `milliseconds`.
  func round(
    _ changed: UInt64, _ milliseconds: Int, limited: Int = 0, read: UInt64 = 1024,
    _ processors: ProcessorShares? = nil
  ) -> LiveRound {
    LiveRound(
      readBytes: read * Self.mebibyte, changedBytes: changed * Self.mebibyte,
      elapsed: .milliseconds(milliseconds), limited: .milliseconds(limited), processors: processors)
  }

  /// Shares of the save, the guest, and how many processors the save can use.
  func shares(_ save: Int, _ guest: Int, of count: Int = 2) -> ProcessorShares {
    ProcessorShares(save: .milliseconds(save), guest: .milliseconds(guest), count: count)
  }

  func pause(_ rounds: [LiveRound]) -> Int {
    Int(LiveForecast(after: rounds).expectedDowntime / .milliseconds(1))
  }

  @Test func afterOneRoundThePauseIsThatRoundsTime() {
    #expect(pause([round(1024, 1000)]) == 1010)
    #expect(LiveForecast(after: [round(1024, 1000)]).dirtyBytesPerSecond == nil)
  }

  /// 1,024 MiB/s of disk. The second round: 100 MiB in 200 ms, of which 97 ms were for writing.
  @Test func laterThePauseIsForReadingAllAndWritingWhatHasChanged() {
    #expect(pause([round(1024, 1000), round(100, 200)]) == 210)
    // Between two readings of a page are 600 ms in the mean.
    let rate = LiveForecast(after: [round(1024, 1000), round(60, 200)]).dirtyBytesPerSecond
    #expect(rate == Double(60 * Self.mebibyte) / 0.6)
  }

  /// The parts of a pause: 100 ms to write 100 MiB, and the rest to read.
  @Test func itsPartsAreReadingAndWriting() {
    let found = LiveForecast(after: [round(1024, 1000), round(100, 200)])
    #expect(found.writingDowntime == .nanoseconds(97_656_250))
    #expect(found.readingDowntime == .nanoseconds(102_343_750))
    let first = LiveForecast(after: [round(1024, 1000)])
    #expect(first.writingDowntime == nil && first.readingDowntime == nil)
  }

  @Test func aGuestThatWritesNothingCostsTheReadingAlone() {
    #expect(pause([round(0, 120), round(0, 100)]) == 110)
    #expect(LiveForecast(after: [round(0, 9), round(0, 9)]).dirtyBytesPerSecond == 0)
  }

  /// The last round has no limit of bandwidth: what the limit cost is not expected of it.
  @Test func aLimitDoesNotCountAsTime() {
    #expect(pause([round(1024, 10_000, limited: 9000)]) == 1010)
    #expect(pause([round(1024, 1000), round(100, 1200, limited: 1000)]) == 210)
  }

  /// Rounds of next to nothing say nothing about the disk: 1 MiB in 300 ms is not taken for its speed.
  @Test func littleIsNoMeasureOfTheDisk() {
    #expect(pause([round(3, 300), round(1, 100)]) == 110)
    #expect(pause([round(4, 4), round(1, 101)]) == 111)
  }

  /// 200 ms of 1,024 MiB and 100 ms of 512 MiB are the same rate: what counts is what was read last.
  @Test func readingIsExpectedAtTheBestRateThatWasSeen() {
    #expect(pause([round(1024, 1000), round(0, 200), round(0, 900)]) == 210)
    #expect(pause([round(1024, 1000), round(0, 900), round(0, 200)]) == 210)
    #expect(pause([round(1024, 1000), round(0, 200), round(0, 900, read: 512)]) == 110)
    #expect(pause([round(1024, 1000), round(0, 900), round(0, 100, read: 512)]) == 110)
    #expect(pause([round(1024, 1000), round(0, 200), round(0, 1, read: 0)]) == 10)
  }

  /// 1,024 MiB in 500 ms is the speed of the disk, and leaves nothing for reading; that the next round needs 200 ms for it counts.
  @Test func aRoundOfWritingIsNoMeasureOfReading() {
    #expect(pause([round(1024, 1000), round(1024, 500)]) == 510)
    #expect(pause([round(1024, 1000), round(1024, 500), round(128, 262)]) == 272)
    #expect(pause([round(1024, 1000), round(257, 126), round(0, 200)]) == 210)
  }

  /// Two processors, of which the guest had one: the last round has both.
  @Test func theGuestsShareOfTheProcessorsIsFreeInThePause() {
    #expect(pause([round(1024, 1000), round(0, 400, shares(400, 400))]) == 210)
    // Others had a processor too, and keep it.
    #expect(pause([round(1024, 1000), round(0, 600, shares(400, 400))]) == 310)
    // More processors than the save has channels: it had its own already.
    #expect(pause([round(1024, 1000), round(0, 200, shares(400, 1600))]) == 210)
    #expect(pause([round(1024, 1000), round(0, 300, shares(400, 3600))]) == 210)
    // A guest that sleeps, or of which nothing is known.
    #expect(pause([round(1024, 1000), round(0, 400, shares(400, 0))]) == 410)
    #expect(pause([round(1024, 1000), round(0, 400, shares(0, 400))]) == 410)
  }

  /// The disk does not get faster by that.
  @Test func writingIsExpectedAsItWas() {
    #expect(pause([round(1024, 1000, shares(200, 1000)), round(512, 500, shares(50, 500))]) == 510)
    #expect(pause([round(1024, 1000, shares(200, 1000))]) == 1010)
  }

  @Test func aRoundOfNoTimeIsNoDivisionByZero() {
    let found = LiveForecast(after: [round(1024, 0), round(1024, 0)])
    #expect(found.expectedDowntime < .seconds(1) && found.dirtyBytesPerSecond?.isFinite == true)
  }
}

@Suite struct LiveStepTests {
  let forecast = LiveForecastTests()

  func next(_ rounds: [LiveRound], _ options: LiveOptions = LiveOptions()) -> LiveStep {
    LiveStep.next(after: rounds, options)
  }

  @Test func aShortEnoughPauseIsTaken() {
    #expect(next([forecast.round(100, 290)]) == .pause)
    #expect(next([forecast.round(100, 291)]) == .anotherRound)
    #expect(next([forecast.round(1024, 1000), forecast.round(50, 200)]) == .pause)
  }

  @Test func aPauseThatShrinksIsWorthARound() {
    #expect(next([forecast.round(1024, 2000), forecast.round(800, 1700)]) == .anotherRound)
    #expect(
      next([forecast.round(1024, 2000), forecast.round(800, 1700), forecast.round(700, 1400)])
        == .anotherRound)
  }

  /// One that touches all of its memory: each round takes as long as the first.
  @Test func aGuestFasterThanTheDiskDoesNotConverge() {
    let same = forecast.round(1024, 2000)
    #expect(next([same, same]) == .anotherRound)
    #expect(next([same, same, same]) == .doesNotConverge)
    #expect(
      next([same, forecast.round(1000, 1900), forecast.round(990, 1890)]) == .doesNotConverge)
    #expect(
      next([
        same, forecast.round(500, 1000), forecast.round(480, 960), forecast.round(470, 940),
      ]) == .doesNotConverge)
  }

  /// It has to shrink below the best so far, not only below the one before.
  @Test func upAndDownIsNoProgress() {
    let rounds = [
      forecast.round(1024, 2000), forecast.round(400, 800), forecast.round(900, 1800),
    ]
    #expect(next(rounds) == .anotherRound)
    #expect(next(rounds + [forecast.round(800, 1600)]) == .doesNotConverge)
    #expect(next(rounds + [forecast.round(300, 600)]) == .anotherRound)
    #expect(next(rounds + [forecast.round(300, 600), forecast.round(300, 600)]) == .anotherRound)
  }

  /// Others use this machine too: one slow round, in which the guest changed more, is not the end.
  @Test func oneSlowRoundSaysNothing() {
    let rounds = [
      forecast.round(1024, 1000), forecast.round(300, 800), forecast.round(400, 3000),
    ]
    #expect(next(rounds) == .anotherRound)
    #expect(next(rounds + [forecast.round(100, 280)]) == .pause)
  }

  /// Memory that takes longer to read than the pause may be: no number of rounds helps.
  @Test func readingAloneMayTakeTooLong() {
    let reading = forecast.round(0, 500)
    #expect(next([forecast.round(1024, 2000), reading]) == .anotherRound)
    #expect(next([forecast.round(1024, 2000), reading, reading]) == .anotherRound)
    #expect(next([forecast.round(1024, 2000), reading, reading, reading]) == .doesNotConverge)
  }

  @Test(arguments: 1...4) func noMoreRoundsThanAreAllowed(_ limit: Int) {
    let rounds = (0..<limit).map { forecast.round(1024 >> UInt64($0), 16_000 >> $0) }
    let options = LiveOptions(maximumDowntime: .zero, maximumRounds: limit)
    #expect(next(rounds, options) == .doesNotConverge)
    #expect(next(Array(rounds.dropLast()) + [], options, orElse: .anotherRound) == .anotherRound)
    #expect(
      next(rounds, LiveOptions(maximumDowntime: .seconds(60), maximumRounds: limit)) == .pause)
  }

  /// Of no rounds there is nothing to say.
  private func next(
    _ rounds: [LiveRound], _ options: LiveOptions, orElse step: LiveStep
  ) -> LiveStep {
    rounds.isEmpty ? step : next(rounds, options)
  }
}
