import LinuxIO
import Synchronization

/// A buffer on its way to or from a file: made once for each buffer of a pool, and used again and again.
///
/// A buffer that is longer than a piece travels in several.
final class BufferTransfer: Transfer, @unchecked Sendable {
  // @unchecked Sendable: what changes does so before the transfer is queued, under whose lock the channels then get it, and not again
  // before `onFinished`.

  let source: SourceAccess
  let target: TargetAccess
  private let direction: Direction
  private let start: UInt64
  private let pieceBytes: Int
  private let onFinished: @Sendable (_ lane: Int) -> Void
  private var lane = 0
  private var byteCount = 0
  private var offset: UInt64 = 0
  private let piecesLeft = Atomic<Int>(0)

  enum Direction { case toFile, fromFile }

  /// The transfer of buffer `index` of `pool` to or from `file`, by a pool of channels whose pieces have `pieceBytes`.
  init(
    _ index: Int, of pool: BufferPool, _ direction: Direction, _ file: File, pieceBytes: Int,
    onFinished: @escaping @Sendable (_ lane: Int) -> Void
  ) {
    self.direction = direction
    switch direction {
    case .toFile: (source, target) = (.memory(pool.memory), .file(file))
    case .fromFile: (source, target) = (.file(file), .copy(pool))
    }
    start = UInt64(pool.start(of: index))
    self.pieceBytes = pieceBytes
    self.onFinished = onFinished
  }

  /// Says what is to be moved next: the buffer's first `byteCount` bytes, which belong at `offset` of the file.
  ///
  /// - Precondition: the transfer is not queued, and there is at least a byte.
  func prepare(byteCount: Int, at offset: UInt64, lane: Int) {
    precondition(byteCount > 0, "something to move")
    self.byteCount = byteCount
    self.offset = offset
    self.lane = lane
    piecesLeft.store(pieceCount, ordering: .relaxed)
  }

  var pieceCount: Int { (byteCount + pieceBytes - 1) / pieceBytes }

  func piece(_ index: Int) -> Piece {
    let first = index * pieceBytes
    let inMemory = start + UInt64(first)
    let inFile = offset + UInt64(first)
    let count = min(pieceBytes, byteCount - first)
    return switch direction {
    case .toFile: Piece(sourceOffset: inMemory, targetOffset: inFile, byteCount: count)
    case .fromFile: Piece(sourceOffset: inFile, targetOffset: inMemory, byteCount: count)
    }
  }

  func chooseReads(of piece: Piece, into parts: inout [Part]) throws(SystemCallError) {
    parts.append(Part(0..<piece.byteCount))
  }

  func chooseWrites(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, read: [Part], into parts: inout [Part]
  ) {
    parts.append(Part(0..<piece.byteCount))
  }

  func finished(_ piece: Piece) {
    let lane = lane
    let left = piecesLeft.subtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { onFinished(lane) }
  }
}
