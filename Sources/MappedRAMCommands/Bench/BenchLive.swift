import ArgumentParser
import MappedRAM
import MappedRAMBench
import MappedRAMFormat
import SystemPackage

/// The options of `mapped-ram bench` about saves of a VM that runs.
struct BenchLive: ParsableArguments {
  @Flag(
    name: .customLong("live"),
    help: """
      Measure live saves of a QEMU that is started, ours and QEMU's own: downtime, total time, and how fast the guest is \
      meanwhile.
      """)
  var isLive = false

  @Option(
    help: ArgumentHelp(
      """
      With --live: how much memory the guest changes in a second, in pages of which one word changes: 0, \(Self.range), max (as \
      much as it can), or several. (default: \(Self.standardRates.defaultValueDescription))
      """, valueName: "rates"))
  var dirtyRate: ListArgument<DirtyRate>?

  @Option(
    help: ArgumentHelp(
      """
      With --live: end a save that takes longer, and report that. (default: \
      \(NumberText.significant(Self.standardTimeLimit)))
      """, valueName: "seconds"))
  var saveTimeout: Double?

  private static let range =
    "\(ByteSize(LiveBench.rateRange.lowerBound)) to \(ByteSize(LiveBench.rateRange.upperBound))"
  private static let standardRates = ListArgument<DirtyRate>([
    .bytesPerSecond(0), .bytesPerSecond(50 << 20), .bytesPerSecond(200 << 20), .unlimited,
  ])
  private static let standardTimeLimit = 120.0

  func validate() throws {
    for rate in dirtyRate?.elements ?? [] {
      guard case .bytesPerSecond(let bytes) = rate, bytes > 0 else { continue }
      guard LiveBench.rateRange.contains(bytes) else {
        throw ValidationError(
          "--dirty-rate has \(rate.text); expected 0, \(Self.range), or max.")
      }
    }
    if let saveTimeout, !(0.001...1e9).contains(saveTimeout) {
      throw ValidationError(
        "--save-timeout is \(saveTimeout); expected 0.001 or more seconds.")
    }
  }

  /// Refuses options that are for other measurements.
  func check(
    _ guest: BenchGuest, _ rounds: BenchRounds, _ sweep: BenchSweep, _ form: BenchOutput
  ) throws {
    guard isLive else {
      for (option, isGiven) in [
        ("--dirty-rate", dirtyRate != nil), ("--save-timeout", saveTimeout != nil),
      ] where isGiven {
        throw ValidationError("\(option) is for --live.")
      }
      guard guest.sizes.elements.count == 1 else {
        throw ValidationError("--size has several values, which is for --live.")
      }
      return
    }
    for (option, isGiven) in [
      ("--against", !rounds.against.isEmpty), ("--chart", form.chart != nil),
      ("--compare", form.compare != nil), ("--memory made", guest.memory == .made),
    ] where isGiven {
      throw ValidationError("\(option) is not for --live.")
    }
    guard sweep.combinations.count == 1 else {
      throw ValidationError("With --live, each expert option but --layout has one value.")
    }
    for size in guest.sizes.elements {
      guard size.byteCount % LiveBench.granularity == 0, size.byteCount >= LiveBench.leastBytes
      else {
        throw ValidationError(
          "--size has \(size); with --live it is a multiple of \(ByteSize(LiveBench.granularity)), from "
            + "\(ByteSize(LiveBench.leastBytes)) on.")
      }
    }
  }

  /// What is measured, once the options have been validated.
  func bench(
    in directory: FilePath, _ guest: BenchGuest, _ rounds: BenchRounds, _ sweep: BenchSweep,
    seed: UInt64
  ) -> LiveBench {
    LiveBench(
      in: directory, guests: guest.guests(seed: seed),
      dirtyRates: (dirtyRate ?? Self.standardRates).elements, layouts: sweep.layouts,
      isShared: guest.memory == .shared,
      options: sweep.combinations[0], rounds: rounds.count, program: rounds.qemu,
      timeLimit: .seconds(saveTimeout ?? Self.standardTimeLimit))
  }
}

extension DirtyRate: ExpressibleByArgument {
  /// A number of bytes, or `max`.
  public init?(argument: String) {
    if argument == "max" {
      self = .unlimited
    } else if let size = ByteSize(argument: argument) {
      self = .bytesPerSecond(size.byteCount)
    } else {
      return nil
    }
  }

  /// As the option has it: `0`, `50M`, `max`.
  var text: String {
    switch self {
    case .unlimited: "max"
    case .bytesPerSecond(let bytes): "\(ByteSize(bytes))"
    }
  }

  /// As `text`, for the help.
  public var defaultValueDescription: String { text }
}
