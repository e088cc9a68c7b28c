/// A part of a piece: `count` bytes, `start` bytes after the piece's first.
struct Part: Equatable, Sendable {
  var start: Int
  var count: Int

  init(_ range: Range<Int>) {
    start = range.lowerBound
    count = range.count
  }

  var range: Range<Int> { start..<(start + count) }
}

extension [Part] {
  /// Joins parts from number `first` on that have at most `gapBytes` between them, for one request in place of two, where
  /// `isAllowed` says so of a gap and of the bytes that were chosen just before it.
  ///
  /// - Complexity: O(parts); nothing is allocated.
  mutating func join(
    from first: Int, gapBytes: Int, where isAllowed: (_ gap: Range<Int>, _ before: Int) -> Bool
  ) {
    guard gapBytes > 0, count > first + 1 else { return }
    var last = first
    var before = self[first].count
    for index in (first + 1)..<count {
      let part = self[index]
      let gap = self[last].range.upperBound..<part.start
      if gap.count <= gapBytes, isAllowed(gap, before) {
        self[last] = Part(self[last].start..<part.range.upperBound)
      } else {
        last += 1
        self[last] = part
      }
      before = part.count
    }
    removeSubrange((last + 1)...)
  }
}

/// A contiguous run of bytes that travels as one unit of work: an extent's place at either end.
struct Piece: Equatable, Sendable {
  /// Where it begins in the source.
  var sourceOffset: UInt64
  /// Where it begins in the target.
  var targetOffset: UInt64
  /// Bytes; at most the transfer's piece size.
  var byteCount: Int
}
