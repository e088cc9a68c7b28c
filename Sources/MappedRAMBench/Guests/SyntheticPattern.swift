import MappedRAMFormat

/// What the memory of a made-up guest is like. Equal patterns make equal memory.
package struct SyntheticPattern: Equatable, Sendable {
  /// Bytes of memory: whole pages of 4096.
  package var byteCount: UInt64
  /// How much of it is zero, 0 to 1.
  package var zeroFraction: Double
  /// Bytes of an area that is zero or not as a whole: whole pages.
  package var zeroRunBytes: UInt64
  /// Whether zero areas come at equal distances, and not by chance.
  package var isRegular: Bool
  /// How much of a page that is not zero is random, 0 to 1; the rest is one word again and again.
  package var entropy: Double
  /// What determines all that is left to chance.
  package var seed: UInt64

  /// Bytes in a page.
  package static let pageBytes: UInt64 = 4096
  /// The usual length of zero areas.
  package static let standardRunBytes: UInt64 = 64 << 10

  /// A pattern of its parts.
  ///
  /// - Precondition: sizes are positive multiples of 4096, fractions from 0 to 1.
  package init(
    byteCount: UInt64, zeroFraction: Double = 0, zeroRunBytes: UInt64 = standardRunBytes,
    isRegular: Bool = false, entropy: Double = 1, seed: UInt64
  ) {
    precondition(byteCount > 0 && byteCount % Self.pageBytes == 0, "whole pages")
    precondition(zeroRunBytes > 0 && zeroRunBytes % Self.pageBytes == 0, "runs of whole pages")
    precondition((0...1).contains(zeroFraction) && (0...1).contains(entropy), "a fraction")
    self.byteCount = byteCount
    self.zeroFraction = zeroFraction
    self.zeroRunBytes = zeroRunBytes
    self.isRegular = isRegular
    self.entropy = entropy
    self.seed = seed
  }

  /// Pages in the memory.
  package var pageCount: UInt64 { byteCount / Self.pageBytes }

  /// Whether page `page` is zero.
  package func isZero(page: UInt64) -> Bool {
    let run = page / (zeroRunBytes / Self.pageBytes)
    if isRegular {
      // Run n is zero where the number of zero runs that are due grows with it. Exact up to 2^53 runs.
      let due = (Double(run) * zeroFraction).rounded(.down)
      return (Double(run + 1) * zeroFraction).rounded(.down) > due
    }
    var state = seed ^ (run &+ 1) &* 0xD6E8_FEB8_6659_FD93
    // 53 bits, as many as a Double has: a number from 0 to below 1.
    return Double(Self.nextWord(&state) >> 11) * 0x1p-53 < zeroFraction
  }

  /// Bytes of pages that are not zero. Looks at every run.
  package var presentBytes: UInt64 {
    let pages = zeroRunBytes / Self.pageBytes
    var present: UInt64 = 0
    var page: UInt64 = 0
    while page < pageCount {
      let count = min(pages, pageCount - page)
      if !isZero(page: page) { present += count }
      page += count
    }
    return present * Self.pageBytes
  }

  /// Steele, Lea and Flood's SplitMix64.
  static func nextWord(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}
