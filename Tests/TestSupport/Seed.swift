import Foundation

/// Steele, Lea and Flood's SplitMix64: a generator that a seed determines on every machine.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  /// The seed that this generator was made with.
  package let seed: UInt64
  private var state: UInt64

  /// The generator that `seed` determines.
  package init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  /// The generator for one test: of the seed in `MAPPED_RAM_SEED` (decimal, or hex with 0x) if that
  /// is set, else of a random one. The seed is printed once for each run of the tests.
  package init() {
    self.init(seed: Self.seedOfRun)
  }

  /// The next 64 bits.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// `count` bytes.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    while result.count < count {
      var word = next()
      for _ in 0..<min(8, count - result.count) {
        result.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return result
  }

  /// The seed of this run of the tests.
  package static let seedOfRun: UInt64 = {
    let text = ProcessInfo.processInfo.environment["MAPPED_RAM_SEED"] ?? ""
    let given =
      text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text, radix: 10)
    precondition(text.isEmpty || given != nil, "MAPPED_RAM_SEED is not a number: \(text)")
    let seed = given ?? UInt64.random(in: 0...UInt64.max)
    print("MAPPED_RAM_SEED=\(seed)")
    return seed
  }()
}
