import LinuxIO
import MappedRAMFormat
import Synchronization

/// Writes a block's pages into their slots: reads the source, finds the zero pages, leaves them out.
final class BlockSave: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  /// The pages that were written, or will have to be taken as present. Complete after a sync.
  let present: SharedBitmap
  private let hasFilled = Atomic<Bool>(false)
  private let pages: any PageSource
  private let pieces: Pieces
  private let slots: FileOffset
  /// Pages to be written though they may be zero.
  private let forced: PageBitmap?
  /// Zero pages between two others are written up to this many bytes, for one request in place of two.
  private let gapBytes: Int

  /// The longest gap that is worth it: a request costs about 10 us of a processor, and 4 KiB written about 2 us of a disk of
  /// 2 GiB/s (measured with every second page zero).
  static let gapBytes = 16 << 10

  /// A save of `pages`, which are those of `block`, to the slots that begin at `slots` of `file`.
  init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    forced: PageBitmap?, gapBytes: Int = 0, pieceBytes: Int
  ) {
    source = pages.readAccess
    target = .file(file)
    present = SharedBitmap(pageCount: block.pageCount)
    self.pages = pages
    pieces = Pieces(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, pieceBytes: pieceBytes)
    self.slots = slots
    self.forced = forced
    self.gapBytes = gapBytes
  }

  var pieceCount: Int { pieces.count }

  /// Whether zeros were written between pages: there are absent pages whose slots are no holes. Complete after a sync.
  var fillsGaps: Bool { hasFilled.load(ordering: .relaxed) }

  func piece(_ index: Int) -> Piece { pieces.piece(index, from: 0, to: slots.rawValue) }

  func chooseReads(of piece: Piece, into parts: inout [Part]) throws(SystemCallError) {
    let start = piece.sourceOffset
    let end = start + UInt64(piece.byteCount)
    if forcesPages(of: piece) {
      parts.append(Part(0..<piece.byteCount))
      return
    }
    let mask = UInt64(pieces.pageSize.byteCount - 1)
    var next = start
    while next < end, let data = try pages.nextData(in: next..<end) {
      let first = Int((data.lowerBound & ~mask) - start)
      let last = Int(((data.upperBound + mask) & ~mask) - start)
      if let previous = parts.last, previous.range.upperBound >= first {
        parts[parts.count - 1] = Part(previous.start..<max(last, previous.range.upperBound))
      } else {
        parts.append(Part(first..<last))
      }
      next = data.upperBound
    }
  }

  func chooseWrites(
    of piece: Piece, in bytes: UnsafeMutableRawBufferPointer, read: [Part], into parts: inout [Part]
  ) {
    let first = pieces.pages(at: piece.sourceOffset, count: piece.byteCount).lowerBound
    for part in read {
      let chosenBefore = parts.count
      unsafe ZeroScan.appendRuns(
        of: part, pageBytes: pieces.pageSize.byteCount, in: bytes, to: &parts
      ) { page, isZero in
        if isZero, forced?[first + page] != true { return false }
        present.insert(first + page)
        return true
      }
      // No longer than what is before it: so a file never takes more than twice the room.
      let runs = parts.count
      parts.join(from: chosenBefore, gapBytes: gapBytes) { gap, before in gap.count <= before }
      if parts.count < runs { hasFilled.store(true, ordering: .relaxed) }
    }
  }

  private func forcesPages(of piece: Piece) -> Bool {
    guard let forced else { return false }
    let range = pieces.pages(at: piece.sourceOffset, count: piece.byteCount)
    return forced.population(in: range) > 0
  }
}
