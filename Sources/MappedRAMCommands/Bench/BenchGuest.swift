import ArgumentParser
import LinuxIO
import MappedRAM
import MappedRAMBench
import MappedRAMFormat

/// The options of `mapped-ram bench` that say what the made-up guest is like.
struct BenchGuest: ParsableArguments {
  @Option(
    name: .customLong("size"),
    help: ArgumentHelp(
      "The guest's memory: a multiple of 4K, up to 64T. With --live also several: 1G,4G.",
      valueName: "bytes"))
  var sizes = ListArgument([ByteSize(1 << 30)])

  /// The only one.
  var size: ByteSize { sizes.elements[0] }

  @Option(
    help: ArgumentHelp(
      """
      Mixtures of zero and other pages, measured one after the other: random (no zero page), zero-runs (60 % zero in areas of \
      1M), alternate (every second page zero), zero. In place of the options that begin with --zero.
      """, valueName: "names"))
  var mix: ListArgument<BenchMix>?

  @Option(
    help: ArgumentHelp("How much of it is zero pages, from 0 to 1.", valueName: "fraction"))
  var zeroFraction = 0.0

  @Option(
    help: ArgumentHelp(
      "The length of the areas that are zero: a multiple of 4K.", valueName: "bytes"))
  var zeroRun = ByteSize(SyntheticPattern.standardRunBytes)

  @Option(help: "Whether zero areas come by chance or at equal distances.")
  var zeroPattern = ZeroPattern.random

  @Option(
    help: ArgumentHelp(
      "How much of a page that is not zero is random, from 0 to 1.", valueName: "fraction"))
  var entropy = 1.0

  @Option(
    help: ArgumentHelp(
      "What determines its contents. (default: another one each time)", valueName: "number"))
  var seed: UInt64?

  @Option(
    help: """
      Where its memory is. private: in another process, and copied from and to there, as a VM's own memory is. shared: in a \
      file in memory, like a VM's memory-backend-memfd. made: nowhere; the pages are made when they are written and compared \
      when they are read, which takes no memory but the processor's time.
      """)
  var memory = BenchMemoryKind.private

  /// Where zero areas are.
  enum ZeroPattern: String, CaseIterable, ExpressibleByArgument, Sendable {
    case random, regular
  }

  func validate() throws {
    let limit = ImageLimits.ramBytes.rawValue
    for size in sizes.elements {
      guard size.byteCount > 0, size.byteCount % 4096 == 0, size.byteCount <= limit else {
        throw ValidationError(
          "--size is \(size); expected a multiple of 4K, up to \(ByteSize(limit)).")
      }
    }
    guard (0...1).contains(zeroFraction) else {
      throw ValidationError("--zero-fraction is \(zeroFraction); expected 0 to 1.")
    }
    guard zeroRun.byteCount > 0, zeroRun.byteCount % 4096 == 0 else {
      throw ValidationError("--zero-run is \(zeroRun); expected a multiple of 4K.")
    }
    guard (0...1).contains(entropy) else {
      throw ValidationError("--entropy is \(entropy); expected 0 to 1.")
    }
    if mix != nil, zeroFraction != 0 || zeroRun != Self.standard.zeroRun {
      throw ValidationError("Give either --mix, or --zero-fraction and --zero-run, not both.")
    }
  }

  private static var standard: (zeroRun: ByteSize, Void) {
    (ByteSize(SyntheticPattern.standardRunBytes), ())
  }

  /// The guests, one for each size and mixture, once the options have been validated.
  func guests(seed: UInt64) -> [Bench.Guest] {
    sizes.elements.flatMap { guests(of: $0, seed: seed) }
  }

  private func guests(of size: ByteSize, seed: UInt64) -> [Bench.Guest] {
    if let mix {
      return mix.elements.map { mix in
        Bench.Guest(
          mix: mix.rawValue,
          pattern: mix.pattern(byteCount: size.byteCount, entropy: entropy, seed: seed))
      }
    }
    let percent = NumberText.fixed(zeroFraction * 100, places: 0)
    let order = zeroPattern == .regular ? ", regular" : ""
    let name = zeroFraction == 0 ? "random" : "\(percent)% zero, \(zeroRun) runs\(order)"
    return [
      Bench.Guest(
        mix: name,
        pattern: SyntheticPattern(
          byteCount: size.byteCount, zeroFraction: zeroFraction, zeroRunBytes: zeroRun.byteCount,
          isRegular: zeroPattern == .regular, entropy: entropy, seed: seed))
    ]
  }
}

extension BenchMix: ExpressibleByArgument {}
extension BenchMemoryKind: ExpressibleByArgument {}
