/// What a VM does: QEMU's own words for it (`RunState`), also those that are not named here.
public struct RunState: RawRepresentable, Hashable, Sendable {
  /// QEMU's word.
  public var rawValue: String

  /// The state with QEMU's word `rawValue`.
  public init(rawValue: String) { self.rawValue = rawValue }

  /// The processors run.
  public static let running = RunState(rawValue: "running")
  /// Stopped by a command.
  public static let paused = RunState(rawValue: "paused")
  /// Started with -S, and never run.
  public static let prelaunch = RunState(rawValue: "prelaunch")
  /// Waits for an image (`-incoming`).
  public static let inMigrate = RunState(rawValue: "inmigrate")
  /// A migration of it has ended well; QEMU has given up its disks.
  public static let postMigrate = RunState(rawValue: "postmigrate")

  /// Whether the processors run: the one state in which they do.
  public var isRunning: Bool { self == .running }
}
