/// How a live save goes about it.
public struct LiveOptions: Equatable, Sendable {
  /// How long the VM may stand still. A wish: see `whenStuck`.
  public var maximumPause: Duration
  /// Rounds while the VM runs, at most: 1 to 1,000. One more follows while it stands still.
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
