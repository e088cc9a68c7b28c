/// Where an image keeps one RAMBlock.
///
/// ```
/// entry                     idstr, used length, [address], mapped-ram header
/// bitmap.lowerBound         page bitmap                       = end of the header
/// ...                       gap
/// pages.lowerBound          slot of page 0                    = next multiple of 1 MiB, or 2 MiB: `SlotLayout`
/// end = pages.upperBound    the next block's entry
/// ```
///
/// For a block that is left out there is neither bitmap nor pages, and the next entry follows the header.
public struct BlockLayout: Equatable, Sendable {
  /// The entry in the block list.
  public let entry: FileOffset
  /// The bitmap, if the block has one.
  public let bitmap: Range<FileOffset>?
  /// The page slots, if the block has any.
  public let pages: Range<FileOffset>?
  /// The first byte after the block: the next entry, or the word that ends the list.
  public let end: FileOffset

  /// Lays out `block`, whose entry begins at `entry` and ends, header included, at `headerEnd`.
  ///
  /// This is the one place where offsets are computed: the writer lays out with it, the reader checks against it.
  /// `pagesOffset` is what a file says instead of the place that `slots` gives the pages.
  ///
  /// - Throws: `numberOverflow`, `pagesUnaligned`, `pagesBeforeBitmapEnd`.
  public init(
    of block: RAMBlock, entry: FileOffset, headerEnd: FileOffset, slots: SlotLayout = .qemu,
    pagesOffset: FileOffset? = nil
  ) throws(FormatError) {
    self.entry = entry
    guard !block.isIgnored else {
      bitmap = nil
      pages = nil
      end = headerEnd
      return
    }
    let context = FormatError.Context.mappedRAMHeader(block.idstr)
    let overflow = FormatError(.numberOverflow, at: entry, in: context)
    guard let bitmapEnd = headerEnd.adding(block.bitmapBytes) else { throw overflow }
    let alignment = slots.alignment(usedLength: block.usedLength)
    guard let next = bitmapEnd.alignedUp(to: alignment) else { throw overflow }
    let first = pagesOffset ?? next
    // The last field of the header is the pages offset.
    let field = FileOffset(headerEnd.rawValue - 8)
    guard first >= bitmapEnd else {
      throw FormatError(
        .pagesBeforeBitmapEnd(found: first, bitmapEnd: bitmapEnd), at: field, in: context)
    }
    guard first.isAligned(to: UInt64(block.pageSize.byteCount)) else {
      throw FormatError(
        .pagesUnaligned(found: first, alignment: block.pageSize), at: field, in: context)
    }
    guard let end = first.adding(block.usedLength) else { throw overflow }
    bitmap = headerEnd..<bitmapEnd
    pages = first..<end
    self.end = end
  }

  /// The header that describes this layout.
  package func header(pageSize: PageSize) -> MappedRAMHeader {
    MappedRAMHeader(
      pageSize: pageSize, bitmapOffset: bitmap?.lowerBound ?? .zero,
      pagesOffset: pages?.lowerBound ?? .zero)
  }
}
