import ArgumentParser
import MappedRAM

/// A mixture of zero and other pages.
struct BenchMix: Equatable, Sendable {
  /// What it is called in reports.
  var name: String
  /// How much of the memory is zero.
  var zeroFraction: Double
  /// Bytes of an area that is zero or not as a whole.
  var zeroRunBytes: UInt64
  /// Whether zero areas come at equal distances.
  var isRegular: Bool

  /// The memory with this mixture.
  func pattern(byteCount: UInt64, entropy: Double, seed: UInt64) -> SyntheticPattern {
    SyntheticPattern(
      byteCount: byteCount, zeroFraction: zeroFraction, zeroRunBytes: zeroRunBytes,
      isRegular: isRegular, entropy: entropy, seed: seed)
  }

  /// The mixtures that have names.
  enum Preset: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// No zero page.
    case random
    /// 60 % zero, in areas of 1 MiB that come by chance.
    case zeroRuns = "zero-runs"
    /// Every second page zero.
    case alternate
    /// Nothing else than zeros.
    case zero

    var mix: BenchMix {
      switch self {
      case .random:
        BenchMix(name: rawValue, zeroFraction: 0, zeroRunBytes: 1 << 20, isRegular: false)
      case .zeroRuns:
        BenchMix(name: rawValue, zeroFraction: 0.6, zeroRunBytes: 1 << 20, isRegular: false)
      case .alternate:
        BenchMix(name: rawValue, zeroFraction: 0.5, zeroRunBytes: 4096, isRegular: true)
      case .zero:
        BenchMix(name: rawValue, zeroFraction: 1, zeroRunBytes: 1 << 20, isRegular: false)
      }
    }
  }
}
