extension PageBitmap {
  /// The runs of present pages within `range`, first to last. O(words in the range + runs), without allocation.
  public func runs(in range: Range<Int>) -> Runs {
    precondition(range.lowerBound >= 0 && range.upperBound <= pageCount, "no such page")
    return Runs(bitmap: self, position: range.lowerBound, end: range.upperBound)
  }

  /// The runs of present pages, first to last.
  public var runs: Runs { runs(in: 0..<pageCount) }

  /// The runs of a bitmap.
  public struct Runs: Sequence, IteratorProtocol, Sendable {
    let bitmap: PageBitmap
    var position: Int
    let end: Int

    /// The next run, or `nil`.
    public mutating func next() -> Range<Int>? {
      let first = bitmap.nextPage(from: position, end: end, present: true)
      guard first < end else {
        position = end
        return nil
      }
      position = bitmap.nextPage(from: first, end: end, present: false)
      return first..<position
    }
  }

  /// The first page at or after `start` that is present (or absent), or `end`.
  func nextPage(from start: Int, end: Int, present: Bool) -> Int {
    var page = start
    while page < end {
      let word = present ? words[page >> 6] : ~words[page >> 6]
      let rest = word >> UInt64(page & 63)
      if rest != 0 { return Swift.min(page + rest.trailingZeroBitCount, end) }
      page = (page | 63) + 1
    }
    return end
  }
}
