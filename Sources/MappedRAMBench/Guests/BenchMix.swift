/// A mixture of zero and other pages that has a name.
package enum BenchMix: String, CaseIterable, Sendable {
  /// No zero page.
  case random
  /// 60 % zero, in areas of 1 MiB at random places.
  case zeroRuns = "zero-runs"
  /// Every second page zero.
  case alternate
  /// Nothing but zeros.
  case zero

  /// The memory with this mixture.
  package func pattern(byteCount: UInt64, entropy: Double, seed: UInt64) -> SyntheticPattern {
    func pattern(_ zeroFraction: Double, runs: UInt64, isRegular: Bool = false) -> SyntheticPattern
    {
      SyntheticPattern(
        byteCount: byteCount, zeroFraction: zeroFraction, zeroRunBytes: runs, isRegular: isRegular,
        entropy: entropy, seed: seed)
    }
    return switch self {
    case .random: pattern(0, runs: 1 << 20)
    case .zeroRuns: pattern(0.6, runs: 1 << 20)
    case .alternate: pattern(0.5, runs: 4096, isRegular: true)
    case .zero: pattern(1, runs: 1 << 20)
    }
  }
}
