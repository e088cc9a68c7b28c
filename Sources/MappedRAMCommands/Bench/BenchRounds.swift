import ArgumentParser

/// The options of `mapped-ram bench` that say how often is measured, and whom against.
struct BenchRounds: ParsableArguments {
  @Option(
    name: .customLong("repeat"),
    help: ArgumentHelp(
      "Rounds: how often everything is measured, 1 to 1000.", valueName: "number"))
  var count = 5

  @Option(
    name: .customLong("against"),
    help: ArgumentHelp(
      """
      Measure others in the same rounds: fio (writes and reads as many bytes), qemu (the guest is one of a QEMU that is started; \
      QEMU saves and loads it as well), or both.
      """, valueName: "names"))
  var opponents: ListArgument<Opponent>?

  @Option(
    help: ArgumentHelp(
      "With --against qemu or --live: the QEMU that is started.", valueName: "program"))
  var qemu = "qemu-system-x86_64"

  @Option(
    help: ArgumentHelp(
      "With --against qemu: how many multifd channels QEMU gets; the best counts.",
      valueName: "numbers"))
  var qemuChannels = ListArgument([1, 2, 4, 8])

  /// Whom the engine is measured against.
  enum Opponent: String, CaseIterable, ExpressibleByArgument, Sendable {
    case fio, qemu
  }

  /// The opponents that are wanted.
  var against: [Opponent] { opponents?.elements ?? [] }

  func validate() throws {
    guard (1...1000).contains(count) else {
      throw ValidationError("--repeat is \(count); expected 1 to 1000.")
    }
    for channels in qemuChannels.elements {
      guard (1...255).contains(channels) else {
        throw ValidationError("--qemu-channels has \(channels); expected 1 to 255.")
      }
    }
  }
}
