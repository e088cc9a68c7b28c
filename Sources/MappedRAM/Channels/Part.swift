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

/// A contiguous run of bytes that travels as one unit of work: an extent's place at either end.
struct Piece: Equatable, Sendable {
  /// Where it begins in the source.
  var sourceOffset: UInt64
  /// Where it begins in the target.
  var targetOffset: UInt64
  /// Bytes; at most the transfer's piece size.
  var byteCount: Int
}
