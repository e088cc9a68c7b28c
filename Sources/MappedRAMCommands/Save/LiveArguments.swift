public import ArgumentParser
import LinuxIO
public import MappedRAM

extension LiveOptions.WhenStuck: ExpressibleByArgument {}

/// The options of `mapped-ram save` that are about saving a VM while it runs.
struct LiveArguments: ParsableArguments {
  @Flag(
    help: """
      Save while the VM runs: all memory is written, then again and again what has changed since, and the VM is paused only for \
      the last round.
      """)
  var live = false

  @Option(
    help: ArgumentHelp(
      "How long the VM may stand still, in milliseconds. (default: \(Defaults.pause))",
      valueName: "ms"))
  var maxPause: Int?

  @Option(
    help: ArgumentHelp(
      "Rounds while the VM runs, at most; \(Limits.rounds). (default: \(Defaults.rounds))",
      valueName: "number"))
  var maxRounds: Int?

  @Option(
    help: ArgumentHelp(
      "Bytes a second that are written while the VM runs, at most; 1M or more. (default: no limit)",
      valueName: "bytes"))
  var maxBandwidth: ByteSize?

  @Option(
    help: """
      What happens where the guest changes memory faster than it can be written, so that further rounds do not help: the VM is \
      paused for longer, or the save fails and the VM runs on. (default: pause)
      """)
  var whenStuck: LiveOptions.WhenStuck?

  /// The limits as the help and the errors name them.
  enum Limits {
    static let rounds =
      "\(LiveOptions.roundsRange.lowerBound) to \(LiveOptions.roundsRange.upperBound)"
    /// An hour: longer than any pause that deserves the name.
    static let pause = 0...3_600_000
    static let bandwidth: UInt64 = 1 << 20
  }

  private enum Defaults {
    static let pause = Int(LiveOptions().maximumPause.wholeMilliseconds)
    static let rounds = LiveOptions().maximumRounds
  }

  /// The options that are given.
  var given: [String] {
    [
      ("--live", live), ("--max-pause", maxPause != nil), ("--max-rounds", maxRounds != nil),
      ("--max-bandwidth", maxBandwidth != nil), ("--when-stuck", whenStuck != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if !live, let option = given.first {
      throw ValidationError("\(option) is for a live save: give --live as well.")
    }
    if let maxPause, !Limits.pause.contains(maxPause) {
      throw ValidationError(
        "--max-pause is \(maxPause); expected \(Limits.pause.lowerBound) to \(Limits.pause.upperBound)."
      )
    }
    if let maxRounds, !LiveOptions.roundsRange.contains(maxRounds) {
      throw ValidationError("--max-rounds is \(maxRounds); expected \(Limits.rounds).")
    }
    if let maxBandwidth, maxBandwidth.byteCount < Limits.bandwidth {
      throw ValidationError("--max-bandwidth is \(maxBandwidth); expected 1M or more.")
    }
  }

  /// The options, once they have been validated; `nil` for a VM that stands still.
  var options: LiveOptions? {
    guard live else { return nil }
    return LiveOptions(
      maximumPause: .milliseconds(maxPause ?? Defaults.pause),
      maximumRounds: maxRounds ?? Defaults.rounds, bytesPerSecond: maxBandwidth?.byteCount,
      whenStuck: whenStuck ?? .pause)
  }
}
