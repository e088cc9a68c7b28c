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
  /// Who had the processors meanwhile; `nil` where that is not known.
  public var processors: ProcessorShares?

  /// A round of its parts.
  public init(
    readBytes: UInt64, changedBytes: UInt64, elapsed: Duration, limited: Duration = .zero,
    processors: ProcessorShares? = nil
  ) {
    self.readBytes = readBytes
    self.changedBytes = changedBytes
    self.elapsed = elapsed
    self.limited = limited
    self.processors = processors
  }

  /// Whether at most a quarter of what was read had to be written.
  var isMostlyReading: Bool { changedBytes <= readBytes / 4 }

  /// Seconds that it would have taken without the limit.
  var workSeconds: Double { max((elapsed - limited).inSeconds, 1e-9) }
}

/// What the save and the guest have used of the processors in a time.
public struct ProcessorShares: Equatable, Sendable {
  /// Processor time of the save.
  public var save: Duration
  /// Processor time of the guest.
  public var guest: Duration
  /// Processors that the save can use at once.
  public var count: Int

  /// Shares of their parts.
  public init(save: Duration, guest: Duration, count: Int) {
    precondition(count > 0, "a processor at least")
    self.save = save
    self.guest = guest
    self.count = count
  }

  /// How long what took `work` seconds beside the guest would take while the guest is paused.
  ///
  /// The save gets the guest's share as well, but cannot use more than its processors. Whatever else the time was spent on is
  /// taken to be as it was.
  func alone(_ work: Double) -> Double {
    let (save, guest) = (save.inSeconds, guest.inSeconds)
    guard save > 0, guest > 0 else { return work }
    return min(work, max(work * save / (save + guest), save / Double(count)))
  }
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
  /// The last round, while the VM is paused, reads what the round before has read, and writes at most as much: a guest that changes
  /// the same pages again and again has changed them again. So the pause is the time of reading that, plus the time of writing that,
  /// both at the best rate that was seen: one round that others on this machine held up says nothing about the next. What the guest
  /// itself takes of the processors it does not take while it is paused. After the first round, it is the time of that round.
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
    // What was left for reading in a round that was mostly writing tells nothing, but of that round itself.
    let reading = (rounds.dropFirst().filter(\.isMostlyReading) + [last]).filter {
      $0.readBytes > 0
    }
    .map { Self.readingSeconds(of: $0, rate) / Double($0.readBytes) }.min()
    expectedPause = Self.duration(
      (reading ?? 0) * Double(last.readBytes) + Self.writingSeconds(of: last, rate) + Self.overhead)
  }

  private static func writingSeconds(of round: LiveRound, _ rate: Double?) -> Double {
    rate.map { Double(round.changedBytes) / $0 } ?? 0
  }

  /// What of the round's time was for reading, as if the guest had been paused.
  private static func readingSeconds(of round: LiveRound, _ rate: Double?) -> Double {
    let reading = max(round.workSeconds - writingSeconds(of: round, rate), 0)
    return round.processors?.alone(reading) ?? reading
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

  /// A round is worth it if it shortens the pause to less than this part of the best so far.
  public static let worthwhile = 0.9
  /// So many rounds one after the other that were not worth it are enough. One alone may be chance: others use this machine too.
  public static let patience = 2

  /// The step after `rounds`, of which there is at least one.
  public static func next(after rounds: [LiveRound], _ options: LiveOptions) -> LiveStep {
    let pauses = rounds.indices.map { LiveForecast(after: Array(rounds[...$0])).expectedPause }
    guard let first = pauses.first, let last = pauses.last else {
      preconditionFailure("a round to go by")
    }
    if last <= options.maximumPause { return .pause }
    guard rounds.count < options.maximumRounds else { return .stuck }
    var best = first
    var inVain = 0
    for pause in pauses.dropFirst() {
      inVain = pause.inSeconds > best.inSeconds * worthwhile ? inVain + 1 : 0
      best = min(best, pause)
    }
    return inVain < patience ? .goOn : .stuck
  }
}

/// How a live save goes about it.
public struct LiveOptions: Equatable, Sendable {
  /// How long the VM may stand still. A wish: see `whenStuck`.
  public var maximumPause: Duration
  /// Rounds while the VM runs, at most: 1 to 1,000. One more follows while it is paused.
  public let maximumRounds: Int
  /// Bytes a second that are written while the VM runs, at most; `nil` for no limit. The last round knows none.
  public let bytesPerSecond: UInt64?
  /// What happens where further rounds would not make the pause short enough.
  public var whenStuck: WhenStuck

  /// What happens where further rounds would not make the pause short enough.
  public enum WhenStuck: String, CaseIterable, Sendable {
    /// The VM is paused all the same, for longer.
    case pause
    /// The save fails, and the VM runs on.
    case fail
  }

  /// Rounds that can be asked for.
  public static let roundsRange = 1...1000

  /// Options with these values.
  ///
  /// - Precondition: the rounds are in their range, and a limit is not zero.
  public init(
    maximumPause: Duration = .milliseconds(300), maximumRounds: Int = 30,
    bytesPerSecond: UInt64? = nil, whenStuck: WhenStuck = .pause
  ) {
    precondition(Self.roundsRange.contains(maximumRounds), "1 to 1,000 rounds")
    precondition(bytesPerSecond != 0, "a limit of nothing would never end")
    self.maximumPause = maximumPause
    self.maximumRounds = maximumRounds
    self.bytesPerSecond = bytesPerSecond
    self.whenStuck = whenStuck
  }
}
