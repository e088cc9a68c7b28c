import LinuxIO

/// How a live save goes about it.
public struct LiveOptions: Equatable, Sendable {
  /// How long the VM may be paused. A wish: see `ifNotConverging`.
  public var maximumDowntime: Duration
  /// Rounds while the VM runs, at most: 1 to 1,000. One more follows while it is paused.
  public let maximumRounds: Int
  /// Bytes a second that are written while the VM runs, at most; `nil` for no limit. The last round knows none.
  public let bytesPerSecond: UInt64?
  /// What happens where further rounds would not make the downtime short enough.
  public var ifNotConverging: NotConverging

  /// What happens where further rounds would not make the downtime short enough.
  public enum NotConverging: String, CaseIterable, Sendable {
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
    maximumDowntime: Duration = .milliseconds(300), maximumRounds: Int = 30,
    bytesPerSecond: UInt64? = nil, ifNotConverging: NotConverging = .pause
  ) {
    precondition(Self.roundsRange.contains(maximumRounds), "1 to 1,000 rounds")
    precondition(bytesPerSecond != 0, "a limit of nothing would never end")
    self.maximumDowntime = maximumDowntime
    self.maximumRounds = maximumRounds
    self.bytesPerSecond = bytesPerSecond
    self.ifNotConverging = ifNotConverging
  }
}

/// What a live save does after a round.
public enum LiveStep: Equatable, Sendable {
  /// One more round while the VM runs.
  case anotherRound
  /// The VM is paused: its downtime will be short enough.
  case pause
  /// Further rounds would not help, or there are to be no more: the downtime would be longer than is wished.
  case doesNotConverge

  /// A round is worth it if it shortens the pause to less than this part of the best so far.
  public static let worthwhile = 0.9
  /// So many rounds one after the other that were not worth it are enough. One alone may be chance: others use this machine too.
  public static let patience = 2

  /// The step after `rounds`, of which there is at least one.
  public static func next(after rounds: [LiveRound], _ options: LiveOptions) -> LiveStep {
    let pauses = rounds.indices.map { LiveForecast(after: Array(rounds[...$0])).expectedDowntime }
    guard let first = pauses.first, let last = pauses.last else {
      preconditionFailure("a round to go by")
    }
    if last <= options.maximumDowntime { return .pause }
    guard rounds.count < options.maximumRounds else { return .doesNotConverge }
    var best = first
    var inVain = 0
    for pause in pauses.dropFirst() {
      inVain = pause.inSeconds > best.inSeconds * worthwhile ? inVain + 1 : 0
      best = min(best, pause)
    }
    return inVain < patience ? .anotherRound : .doesNotConverge
  }
}
