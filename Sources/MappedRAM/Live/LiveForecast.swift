import LinuxIO

/// A round of a live save, once it is over.
public struct LiveRound: Equatable, Sendable {
  /// Bytes of memory that were read and hashed.
  public var readBytes: UInt64
  /// Bytes of pages that were not in their slots yet, or not as they were, and were written.
  public var changedBytes: UInt64
  /// From its start until all of it was written.
  public var elapsed: Duration
  /// How long of it a limit of bandwidth held a channel up.
  public var limited: Duration

  /// A round of its parts.
  public init(
    readBytes: UInt64, changedBytes: UInt64, elapsed: Duration, limited: Duration = .zero
  ) {
    self.readBytes = readBytes
    self.changedBytes = changedBytes
    self.elapsed = elapsed
    self.limited = limited
  }

  /// Seconds that it would have taken without the limit.
  var workSeconds: Double { max((elapsed - limited).inSeconds, 1e-9) }
}

/// What follows from the rounds of a live save so far.
public struct LiveForecast: Equatable, Sendable {
  /// Bytes of different pages that the guest changes in a second, as the last round found it; `nil` after the first.
  public var dirtyBytesPerSecond: Double?
  /// How long the VM would stand still if it were paused now.
  public var expectedPause: Duration

  /// What is added for the state of the devices and for what is said to QEMU.
  static let overhead = 0.01
  /// Rounds that wrote less say nothing about the speed of the disk.
  static let leastForRate: UInt64 = 4 << 20

  private static func duration(_ seconds: Double) -> Duration {
    .nanoseconds(Int64((min(seconds, 1e9) * 1e9).rounded()))
  }

  /// The forecast after `rounds`, of which there is at least one.
  ///
  /// The last round, while the VM stands still, reads what the round before has read, and writes at most as much: a guest that changes
  /// the same pages again and again has changed them again. So the pause is the time of reading that, plus the time of writing that at
  /// the best rate that was seen. After the first round, it is the time of that round.
  public init(after rounds: [LiveRound]) {
    guard let last = rounds.last else { preconditionFailure("a round to go by") }
    guard rounds.count > 1 else {
      dirtyBytesPerSecond = nil
      expectedPause = Self.duration(last.workSeconds + Self.overhead)
      return
    }
    // A page was read once in each of the two rounds: between lies the time of one of them, in the mean.
    let between = (rounds[rounds.count - 2].elapsed + last.elapsed).inSeconds / 2
    dirtyBytesPerSecond = Double(last.changedBytes) / max(between, 1e-9)
    let rate =
      rounds.filter { $0.changedBytes >= Self.leastForRate }
      .map { Double($0.changedBytes) / $0.workSeconds }.max()
    let writing = rate.map { Double(last.changedBytes) / $0 } ?? 0
    let reading = max(last.workSeconds - writing, 0)
    expectedPause = Self.duration(reading + writing + Self.overhead)
  }
}

/// What a live save does after a round.
public enum LiveStep: Equatable, Sendable {
  /// One more round while the VM runs.
  case goOn
  /// The VM is paused: the pause will be short enough.
  case pause
  /// Further rounds would not help, or there are to be no more: the pause will be longer than is wished.
  case stuck

  /// A round is worth it if it shortens the pause to less than this part.
  public static let worthwhile = 0.9

  /// The step after `rounds`, of which there is at least one.
  public static func next(after rounds: [LiveRound], _ options: LiveOptions) -> LiveStep {
    let pause = LiveForecast(after: rounds).expectedPause
    if pause <= options.maximumPause { return .pause }
    guard rounds.count < options.maximumRounds else { return .stuck }
    let best = (1..<rounds.count).map { LiveForecast(after: Array(rounds[..<$0])).expectedPause }
      .min()
    if let best, pause.inSeconds > best.inSeconds * worthwhile { return .stuck }
    return .goOn
  }
}
