import Foundation

/// SplitMix64: the sequence that a seed determines on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  /// The generator of `MAPPED_RAM_SEED`, or of a random seed, which is printed once.
  init() { self.init(seed: Self.seedOfRun) }

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) }
  }

  private static let seedOfRun: UInt64 = {
    let given = ProcessInfo.processInfo.environment["MAPPED_RAM_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0...UInt64.max)
    print("MAPPED_RAM_SEED=\(seed)")
    return seed
  }()
}
