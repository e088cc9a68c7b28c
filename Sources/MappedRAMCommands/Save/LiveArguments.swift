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
      """
      How long the VM may be paused, in milliseconds. With --live it is what the rounds aim at. (default: \(Defaults.pause)) \
      Without, the VM is resumed when it is over, and the save fails. (default: a minute and a second for each 25 MiB of RAM, or half \
      a minute in which nothing moves)
      """,
      valueName: "ms"))
  var maxDowntime: Int?

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
    /// A day: longer than any pause that deserves the name.
    static let pause = 0...86_400_000
    static let bandwidth: UInt64 = 1 << 20
  }

  private enum Defaults {
    static let pause = Int(LiveOptions().maximumPause.wholeMilliseconds)
    static let rounds = LiveOptions().maximumRounds
  }

  /// The options that are given.
  var given: [String] {
    [
      ("--live", live), ("--max-downtime", maxDowntime != nil), ("--max-rounds", maxRounds != nil),
      ("--max-bandwidth", maxBandwidth != nil), ("--when-stuck", whenStuck != nil),
    ].filter(\.1).map(\.0)
  }

  func validate() throws {
    if !live, let option = given.first(where: { $0 != "--max-downtime" }) {
      throw ValidationError("\(option) is for a live save: give --live as well.")
    }
    if let maxDowntime, !Limits.pause.contains(maxDowntime) {
      throw ValidationError(
        "--max-downtime is \(maxDowntime); expected \(Limits.pause.lowerBound) to \(Limits.pause.upperBound)."
      )
    }
    if !live, maxDowntime == 0 {
      throw ValidationError(
        "--max-downtime is 0, in which nothing can be saved; give --live as well, or more time.")
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
      maximumPause: .milliseconds(maxDowntime ?? Defaults.pause),
      maximumRounds: maxRounds ?? Defaults.rounds, bytesPerSecond: maxBandwidth?.byteCount,
      whenStuck: whenStuck ?? .pause)
  }

  /// How long a VM may be paused that is not saved live, if that is given.
  var maximumDowntime: Duration? { live ? nil : maxDowntime.map { .milliseconds($0) } }
}
