/// Which pages of a RAMBlock are present.
///
/// In a file the bitmap is an array of the host's `unsigned long`, as it was in memory. On the little-endian 64-bit hosts that
/// exist in practice that is: page *i* is bit *i* mod 8 (least significant first) of byte *i* / 8, padded with zeros to a
/// multiple of 8 bytes. The guest's byte order plays no part. (Source: QEMU v10.0.2, `migration/ram.c`, `file_bmap`; observed on
/// images of s390x, ppc64 and sparc64 guests.)
public struct PageBitmap: Equatable, Sendable {
  /// Pages in the block.
  public let pageCount: Int
  /// 64 pages each, the first in the least significant bit. Bits at and above `pageCount` are 0.
  public private(set) var words: [UInt64]

  /// A bitmap of `pageCount` pages, all absent.
  public init(pageCount: Int) {
    precondition(pageCount >= 0, "a count is not negative")
    self.pageCount = pageCount
    words = Array(repeating: 0, count: Self.wordCount(for: pageCount))
  }

  /// A bitmap of `pageCount` pages in `words`; bits at and above `pageCount` are dropped.
  ///
  /// - Precondition: `words` has just as many words as the pages need.
  public init(pageCount: Int, words: [UInt64]) {
    precondition(words.count == Self.wordCount(for: pageCount), "a bit for each page")
    self.pageCount = pageCount
    self.words = words
    clearPadding()
  }

  /// Words that a bitmap of `pageCount` pages has.
  public static func wordCount(for pageCount: Int) -> Int { (pageCount + 63) / 64 }

  /// Whether page `page` is present.
  public subscript(page: Int) -> Bool {
    get {
      precondition((0..<pageCount).contains(page), "no such page")
      return words[page >> 6] >> UInt64(page & 63) & 1 == 1
    }
    set {
      precondition((0..<pageCount).contains(page), "no such page")
      let bit = UInt64(1) << UInt64(page & 63)
      if newValue { words[page >> 6] |= bit } else { words[page >> 6] &= ~bit }
    }
  }

  /// Pages that are present. O(words).
  public var population: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Marks all pages of `range` present.
  public mutating func insert(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= pageCount, "no such page")
    for word in Self.words(of: range) { words[word.index] |= word.mask }
  }

  /// Pages present in `range`. O(words in the range).
  public func population(in range: Range<Int>) -> Int {
    Self.words(of: range).reduce(0) { $0 + (words[$1.index] & $1.mask).nonzeroBitCount }
  }

  /// Adds the pages that are present in `other`, a bitmap of as many pages.
  public mutating func formUnion(_ other: PageBitmap) { combine(other) { $0 | $1 } }

  /// Keeps the pages that are present in `other` too.
  public mutating func formIntersection(_ other: PageBitmap) { combine(other) { $0 & $1 } }

  /// Removes the pages that are present in `other`.
  public mutating func subtract(_ other: PageBitmap) { combine(other) { $0 & ~$1 } }

  private mutating func combine(_ other: PageBitmap, _ operation: (UInt64, UInt64) -> UInt64) {
    precondition(pageCount == other.pageCount, "bitmaps of one block")
    for index in words.indices { words[index] = operation(words[index], other.words[index]) }
  }

  private mutating func clearPadding() {
    guard pageCount & 63 != 0, let last = words.indices.last else { return }
    words[last] &= (1 << UInt64(pageCount & 63)) - 1
  }

  /// The words that hold the bits of `range`, with a mask of those bits in each. Nothing is allocated.
  private static func words(of range: Range<Int>) -> some Sequence<(index: Int, mask: UInt64)> {
    (range.lowerBound >> 6..<(range.upperBound + 63) >> 6).lazy.map { index in
      var mask = UInt64.max
      let first = index << 6
      if range.lowerBound > first { mask &= .max << UInt64(range.lowerBound - first) }
      if range.upperBound < first + 64 { mask &= .max >> UInt64(first + 64 - range.upperBound) }
      return (index, mask)
    }
  }
}
