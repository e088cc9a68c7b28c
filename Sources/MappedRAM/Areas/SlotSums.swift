import LinuxIO
import MappedRAMFormat

/// Takes the sums of a block's chunks of pages that are there: of an image that somebody else has written, of one where pages were written in
/// more than one way, of a VM's memory.
///
/// Nothing is written but the sums, or the pages as well into a copy of the image.
final class SlotSums: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  private let isCopied: Bool
  private let pages: PageBitmap
  private let extents: ExtentPlan
  /// Where the block begins in the source, and in the target.
  private let start: UInt64
  private let sums: ChunkSums

  /// The sums of the chunks of `block` that have pages in `pages`, to `sums`. The block begins at `start` of `source`.
  ///
  /// - Parameter copy: gets the pages too, at the same places.
  /// - Precondition: of a chunk, `pages` has all that are present, or none.
  init(
    _ block: RAMBlock, _ pages: PageBitmap, in source: SourceAccess, at start: UInt64,
    to sums: ChunkSums, copy: File? = nil, extentBytes: Int
  ) {
    precondition(pages.pageCount == block.pageCount, "the bitmap is the block's")
    self.source = source
    target = copy.map { .file($0) } ?? .copy(Nowhere())
    isCopied = copy != nil
    self.pages = pages
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.start = start
    self.sums = sums
  }

  /// Bytes of the pages that are read.
  var byteCount: UInt64 { UInt64(pages.population) << UInt64(extents.pageSize.shift) }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: start, to: start) }

  private func pages(of extent: Extent) -> Range<Int> {
    extents.pages(at: extent.sourceOffset - start, count: extent.byteCount)
  }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    // A hole in memory that is read is one no more.
    let gapBytes = source.isFile ? BlockRestore.gapBytes : 0
    extents.appendRuns(of: pages, in: pages(of: extent), gapBytes: gapBytes, to: &runs)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let all = pages(of: extent)
    let summer = sums.summer
    // Neighbouring chunks at once. Of those without pages here, others may know.
    var noted = all.lowerBound..<all.lowerBound
    func note() {
      guard !noted.isEmpty else { return }
      let place = extents.bytes(of: noted, behind: all.lowerBound)
      unsafe sums.note(
        noted, in: UnsafeRawBufferPointer(rebasing: bytes[place]), isPresent: { pages[$0] })
    }
    for chunk in summer.chunks(of: all) where summer.hasEntry(chunk, pages) {
      let next = summer.pages(of: chunk)
      if noted.upperBound != next.lowerBound {
        note()
        noted = next
      } else {
        noted = noted.lowerBound..<next.upperBound
      }
    }
    note()
    if isCopied { extents.appendRuns(of: pages, in: all, gapBytes: 0, to: &runs) }
  }
}

/// A target that nothing is ever put into: of what is read and looked at alone.
struct Nowhere: CopyingTarget {
  func copy(from buffer: UnsafeRawBufferPointer, to offset: UInt64) throws(SystemCallError) {
    preconditionFailure("nothing is written")
  }
}
