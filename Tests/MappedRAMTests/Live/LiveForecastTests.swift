import MappedRAM
import Testing

/// When a live save pauses the VM: a pure function of what the rounds were like.
@Suite struct LiveForecastTests {
  static let mebibyte: UInt64 = 1 << 20

  /// A round that read 1,024 MiB and wrote `changed` MiB in `milliseconds`.
  func round(_ changed: UInt64, _ milliseconds: Int, limited: Int = 0) -> LiveRound {
    LiveRound(
      readBytes: 1024 * Self.mebibyte, changedBytes: changed * Self.mebibyte,
      elapsed: .milliseconds(milliseconds), limited: .milliseconds(limited))
  }

  func pause(_ rounds: [LiveRound]) -> Int {
    Int(LiveForecast(after: rounds).expectedPause / .milliseconds(1))
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

  @Test func aRoundOfNoTimeIsNoDivisionByZero() {
    let found = LiveForecast(after: [round(1024, 0), round(1024, 0)])
    #expect(found.expectedPause < .seconds(1) && found.dirtyBytesPerSecond?.isFinite == true)
  }
}

@Suite struct LiveStepTests {
  let forecast = LiveForecastTests()

  func next(_ rounds: [LiveRound], _ options: LiveOptions = LiveOptions()) -> LiveStep {
    LiveStep.next(after: rounds, options)
  }

  @Test func aShortEnoughPauseIsTaken() {
    #expect(next([forecast.round(100, 290)]) == .pause)
    #expect(next([forecast.round(100, 291)]) == .goOn)
    #expect(next([forecast.round(1024, 1000), forecast.round(50, 200)]) == .pause)
  }

  @Test func aPauseThatShrinksIsWorthARound() {
    #expect(next([forecast.round(1024, 2000), forecast.round(800, 1700)]) == .goOn)
    #expect(
      next([forecast.round(1024, 2000), forecast.round(800, 1700), forecast.round(700, 1400)])
        == .goOn)
  }

  /// One that touches all of its memory: each round takes as long as the first.
  @Test func aGuestFasterThanTheDiskIsStuck() {
    #expect(next([forecast.round(1024, 2000), forecast.round(1024, 2000)]) == .stuck)
    #expect(next([forecast.round(1024, 2000), forecast.round(1000, 1900)]) == .stuck)
    #expect(
      next([forecast.round(1024, 2000), forecast.round(500, 1000), forecast.round(480, 960)])
        == .stuck)
  }

  /// It has to shrink below the best so far, not only below the one before.
  @Test func upAndDownIsNoProgress() {
    let rounds = [
      forecast.round(1024, 2000), forecast.round(400, 800), forecast.round(900, 1800),
    ]
    #expect(next(rounds) == .stuck)
    #expect(next(rounds + [forecast.round(800, 1600)]) == .stuck)
    #expect(next(rounds + [forecast.round(300, 600)]) == .goOn)
  }

  /// Memory that takes longer to read than the pause may be: no number of rounds helps.
  @Test func readingAloneMayTakeTooLong() {
    #expect(next([forecast.round(1024, 2000), forecast.round(0, 500)]) == .goOn)
    #expect(
      next([forecast.round(1024, 2000), forecast.round(0, 500), forecast.round(0, 500)]) == .stuck)
  }

  @Test(arguments: 1...4) func noMoreRoundsThanAreAllowed(_ limit: Int) {
    let rounds = (0..<limit).map { forecast.round(1024 >> UInt64($0), 16_000 >> $0) }
    let options = LiveOptions(maximumPause: .zero, maximumRounds: limit)
    #expect(next(rounds, options) == .stuck)
    #expect(next(Array(rounds.dropLast()) + [], options, orElse: .goOn) == .goOn)
    #expect(next(rounds, LiveOptions(maximumPause: .seconds(60), maximumRounds: limit)) == .pause)
  }

  /// Of no rounds there is nothing to say.
  private func next(
    _ rounds: [LiveRound], _ options: LiveOptions, orElse step: LiveStep
  ) -> LiveStep {
    rounds.isEmpty ? step : next(rounds, options)
  }
}
