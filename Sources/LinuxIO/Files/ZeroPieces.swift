/// A range of bytes in pieces, with the zeros that are to be written over each.
package struct ZeroPieces: Sequence, IteratorProtocol {
  /// The most bytes of a piece: 1 MiB.
  package static let pieceBytes = 1 << 20

  private var rest: Range<UInt64>
  private var zeros: [UInt8]

  /// The pieces of `range`, which may be empty, in ascending order.
  package init(of range: Range<UInt64>) {
    rest = range
    zeros = [UInt8](repeating: 0, count: Int(Swift.min(UInt64(Self.pieceBytes), range.byteCount)))
  }

  /// The next piece: where it begins, and as many zeros as it has bytes; `nil` at the end.
  package mutating func next() -> (offset: UInt64, zeros: [UInt8])? {
    guard !rest.isEmpty else { return nil }
    if UInt64(zeros.count) > rest.byteCount { zeros.removeLast(zeros.count - Int(rest.byteCount)) }
    defer { rest = rest.lowerBound + UInt64(zeros.count)..<rest.upperBound }
    return (rest.lowerBound, zeros)
  }
}
