import MappedRAMFormat

/// How a block's pages are dealt into pieces.
///
/// A piece has as many bytes as a request, but at least 64 pages, so that the bits of two pieces never share a word of a bitmap.
struct Pieces: Equatable, Sendable {
  let byteCount: UInt64
  let pageSize: PageSize
  let pieceBytes: Int

  /// Deals `byteCount` bytes of pages into pieces of `pieceBytes`; the last may be shorter.
  ///
  /// - Precondition: `pieceBytes` is one that `pieceBytes(for:requestBytes:)` gave.
  init(byteCount: UInt64, pageSize: PageSize, pieceBytes: Int) {
    precondition(pieceBytes % (64 * pageSize.byteCount) == 0, "whole words of bitmap")
    self.byteCount = byteCount
    self.pageSize = pageSize
    self.pieceBytes = pieceBytes
  }

  /// Bytes in a piece where requests have `requestBytes`, a power of two.
  static func pieceBytes(for pageSize: PageSize, requestBytes: Int) -> Int {
    max(requestBytes, 64 * pageSize.byteCount)
  }

  var count: Int { Int((byteCount + UInt64(pieceBytes) - 1) / UInt64(pieceBytes)) }

  /// The bytes of piece `index`, from the block's start.
  func bytes(_ index: Int) -> Range<UInt64> {
    let start = UInt64(index) * UInt64(pieceBytes)
    return start..<min(start + UInt64(pieceBytes), byteCount)
  }

  /// Piece `index` of a block that begins at `source` and goes to `target`.
  func piece(_ index: Int, from source: UInt64, to target: UInt64) -> Piece {
    let bytes = bytes(index)
    return Piece(
      sourceOffset: source + bytes.lowerBound, targetOffset: target + bytes.lowerBound,
      byteCount: Int(bytes.upperBound - bytes.lowerBound))
  }

  /// The pages of the piece that begins at `start` and has `count` bytes.
  func pages(at start: UInt64, count: Int) -> Range<Int> {
    let first = Int(start >> UInt64(pageSize.shift))
    return first..<(first + count >> pageSize.shift)
  }
}
