import LinuxIO
import MappedRAMFormat

/// Takes the sums of a block's chunks of what is in the image: of a file that somebody else has written, or where pages were written in more
/// than one way.
///
/// Nothing is written but the sums, or the pages as well into a copy of the image.
final class SlotSums: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  private let isCopied: Bool
  private let pages: PageBitmap
  private let extents: ExtentPlan
  private let slots: FileOffset
  private let sums: ChunkSums

  /// The sums of the chunks of `block` that have pages in `pages`, whose slots begin at `slots` of `file`, to `sums`.
  ///
  /// - Parameter copy: gets the pages too, at the same places.
  /// - Precondition: of a chunk, `pages` has all that are present, or none.
  init(
    _ block: RAMBlock, _ pages: PageBitmap, in file: File, slots: FileOffset, to sums: ChunkSums,
    copy: File? = nil, extentBytes: Int
  ) {
    precondition(pages.pageCount == block.pageCount, "the bitmap is the block's")
    source = .file(file)
    target = copy.map { .file($0) } ?? .copy(Nowhere())
    isCopied = copy != nil
    self.pages = pages
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.slots = slots
    self.sums = sums
  }

  /// Bytes of the pages that are read.
  var byteCount: UInt64 { UInt64(pages.population) << UInt64(extents.pageSize.shift) }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent {
    extents.extent(index, from: slots.rawValue, to: slots.rawValue)
  }

  private func pages(of extent: Extent) -> Range<Int> {
    extents.pages(at: extent.sourceOffset - slots.rawValue, count: extent.byteCount)
  }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    extents.appendRuns(
      of: pages, in: pages(of: extent), gapBytes: BlockRestore.gapBytes, to: &runs)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let first = pages(of: extent).lowerBound
    for chunk in sums.summer.chunks(of: pages(of: extent))
    where sums.summer.hasEntry(chunk, pages) {
      let range = sums.summer.pages(of: chunk)
      let start = (range.lowerBound - first) << extents.pageSize.shift
      unsafe sums.note(
        range, in: UnsafeRawBufferPointer(rebasing: bytes[start...]), isPresent: { pages[$0] })
    }
    if isCopied { extents.appendRuns(of: pages, in: pages(of: extent), gapBytes: 0, to: &runs) }
  }
}

/// A target that nothing is ever put into: of what is read and looked at alone.
struct Nowhere: CopyingTarget {
  func copy(from buffer: UnsafeRawBufferPointer, to offset: UInt64) throws(SystemCallError) {
    preconditionFailure("nothing is written")
  }
}
