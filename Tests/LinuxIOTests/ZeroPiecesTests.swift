import LinuxIO
import Testing

@Suite struct ZeroPiecesTests {
  private static let piece = UInt64(ZeroPieces.pieceBytes)

  @Test(arguments: [0, 7, UInt64.max])
  func anEmptyRangeHasNone(offset: UInt64) {
    #expect(Array(ZeroPieces(of: offset..<offset)).isEmpty)
  }

  /// The pieces of `count` bytes from 4099 on: where they begin, and how long they are.
  @Test(
    arguments: [
      (1, [4099], [1]), (piece - 1, [4099], [piece - 1]), (piece, [4099], [piece]),
      (piece + 1, [4099, 4099 + piece], [piece, 1]),
      (2 * piece, [4099, 4099 + piece], [piece, piece]),
    ] as [(UInt64, [UInt64], [UInt64])])
  func piecesCoverTheRangeOnceAndAreZeros(
    count: UInt64, offsets: [UInt64], counts: [UInt64]
  ) {
    let pieces = Array(ZeroPieces(of: 4099..<4099 + count))
    #expect(pieces.map(\.offset) == offsets)
    #expect(pieces.map { UInt64($0.zeros.count) } == counts)
    #expect(pieces.allSatisfy { $0.zeros.allSatisfy { $0 == 0 } })
  }

  @Test func rangesMayEndAtTheLargestNumberAndBeLongerThanIntMax() {
    #expect(Array(ZeroPieces(of: UInt64.max - 3..<UInt64.max)).map(\.zeros) == [[0, 0, 0]])
    var pieces = ZeroPieces(of: 0..<UInt64.max)
    let first = pieces.next()
    #expect(first?.offset == 0)
    #expect(first?.zeros.count == ZeroPieces.pieceBytes)
    #expect(pieces.next()?.offset == Self.piece)
  }
}
