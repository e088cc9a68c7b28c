import LinuxIO
import MappedRAMFormat

/// Puts a block's present pages into a target.
///
/// Absent pages are zero whatever their slots hold: a slot may keep an older version of a page that became zero during a live save.
/// Where the target starts as zeros, only present pages that are not zero are written; elsewhere the whole piece is, with
/// zeros for the absent ones.
final class BlockRestore: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  /// Pages that are present and zero nevertheless, as with `zero-page-detection=none`. Complete after a sync.
  let presentZeros: SharedBitmap
  private let bitmap: PageBitmap
  private let pieces: Pieces
  private let slots: FileOffset
  private let startsZero: Bool

  /// A gap of absent pages up to this long is read through, for one request in place of two: a guess until it is measured.
  static let gapBytes = 64 << 10

  /// A restore of the pages in `bitmap`, whose slots begin at `slots` of `file`, to `pages`.
  init(
    _ block: RAMBlock, bitmap: PageBitmap, from file: File, slots: FileOffset,
    to pages: any PageTarget, pieceBytes: Int
  ) {
    precondition(bitmap.pageCount == block.pageCount, "the bitmap is the block's")
    source = .file(file)
    target = pages.writeAccess
    startsZero = pages.startsZero
    presentZeros = SharedBitmap(pageCount: block.pageCount)
    self.bitmap = bitmap
    pieces = Pieces(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, pieceBytes: pieceBytes)
    self.slots = slots
  }

  var pieceCount: Int { pieces.count }

  /// Bytes of the pages that are present.
  var presentBytes: UInt64 { UInt64(bitmap.population) << UInt64(pieces.pageSize.shift) }

  func piece(_ index: Int) -> Piece { pieces.piece(index, from: slots.rawValue, to: 0) }

  func chooseReads(of piece: Piece, into parts: inout [Part]) throws(SystemCallError) {
    for part in presentParts(of: piece) {
      if let last = parts.last, part.start - last.range.upperBound <= Self.gapBytes {
        parts[parts.count - 1] = Part(last.start..<part.range.upperBound)
      } else {
        parts.append(part)
      }
    }
  }

  func chooseWrites(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, read: [Part], into parts: inout [Part]
  ) {
    startsZero
      ? unsafe chooseNonzero(of: piece, in: bytes, into: &parts)
      : unsafe chooseAll(of: piece, in: bytes, into: &parts)
  }

  /// Chooses the present pages that are not zero.
  private func chooseNonzero(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, into parts: inout [Part]
  ) {
    let first = pieces.pages(at: piece.targetOffset, count: piece.byteCount).lowerBound
    for part in presentParts(of: piece) {
      unsafe ZeroScan.appendRuns(
        of: part, pageBytes: pieces.pageSize.byteCount, in: bytes, to: &parts
      ) { page, isZero in
        if isZero { presentZeros.insert(first + page) }
        return !isZero
      }
    }
  }

  /// Chooses the whole piece, once absent pages are zeros in the buffer.
  private func chooseAll(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, into parts: inout [Part]
  ) {
    var end = 0
    for part in presentParts(of: piece) {
      unsafe Self.clear(bytes, end..<part.start)
      end = part.range.upperBound
    }
    unsafe Self.clear(bytes, end..<piece.byteCount)
    parts.append(Part(0..<piece.byteCount))
  }

  private static func clear(_ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>) {
    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
      .initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// The runs of present pages, as parts of the piece.
  private func presentParts(of piece: Piece) -> some Sequence<Part> {
    let range = pieces.pages(at: piece.targetOffset, count: piece.byteCount)
    let shift = pieces.pageSize.shift
    return bitmap.runs(in: range).lazy.map { run in
      Part(
        ((run.lowerBound - range.lowerBound) << shift)..<((run.upperBound - range.lowerBound)
          << shift))
    }
  }
}
