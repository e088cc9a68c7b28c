import LinuxIO

/// What follows from the rounds of a live save so far.
public struct LiveForecast: Equatable, Sendable {
  /// Bytes of different pages that the guest changes in a second, as the last round found it; `nil` after the first.
  public var dirtyBytesPerSecond: Double?
  /// How long the VM would be paused if it were now.
  public var expectedDowntime: Duration
  /// What of that reading all memory takes, however little the guest changes; `nil` after the first round.
  public var readingDowntime: Duration?
  /// What of that writing takes, if as much has changed again as in the last round; `nil` after the first one.
  public var writingDowntime: Duration?

  /// What is added for the state of the devices and for what is said to QEMU.
  static let overhead = 0.01
  /// Rounds that wrote less say nothing about the speed of the disk.
  static let leastForRate: UInt64 = 4 << 20

  private static func duration(_ seconds: Double) -> Duration {
    .nanoseconds(Int64((min(seconds, 1e9) * 1e9).rounded()))
  }

  /// A forecast of somebody else, like QEMU.
  package init(dirtyBytesPerSecond: Double?, expectedDowntime: Duration) {
    self.dirtyBytesPerSecond = dirtyBytesPerSecond
    self.expectedDowntime = expectedDowntime
  }

  /// The forecast after `rounds`, of which there is at least one.
  ///
  /// The last round, while the VM is paused, reads what the round before has read, and writes at most as much: a guest that changes
  /// the same pages again and again has changed them again. So the pause is the time of reading that, plus the time of writing that,
  /// both at the best rate that was seen: one round that others on this machine held up says nothing about the next. What the guest
  /// itself takes of the processors it does not take while it is paused. After the first round, it is the time of that round.
  package init(after rounds: [LiveRound]) {
    guard let last = rounds.last else { preconditionFailure("a round to go by") }
    guard rounds.count > 1 else {
      expectedDowntime = Self.duration(last.workSeconds + Self.overhead)
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
    let readingSeconds = (reading ?? 0) * Double(last.readBytes)
    let writingSeconds = Self.writingSeconds(of: last, rate)
    readingDowntime = Self.duration(readingSeconds)
    writingDowntime = Self.duration(writingSeconds)
    expectedDowntime = Self.duration(readingSeconds + writingSeconds + Self.overhead)
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
