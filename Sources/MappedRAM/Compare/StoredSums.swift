import LinuxIO
import MappedRAMFormat

/// The sums that an image has of its contents, as far as they can be taken for true without reading pages: their own sums are right, and they
/// are of what the image has.
struct StoredSums: Sendable {
  private let area: SumsArea

  /// What an image has.
  enum Found: Sendable {
    case none
    /// Some that are damaged, or of another image.
    case unusable
    case usable(StoredSums)
  }

  /// The sums of a block, which fit it.
  struct Place {
    let entries: Range<FileOffset>
  }

  static func find(in image: Image, _ file: ImageFile) throws(ImageError) -> Found {
    guard
      let header = image.areas.headers.first(where: {
        $0.kind == .sums && $0.version == SumsArea.version
      })
    else { return .none }
    // The header has been checked: the table lies in the file.
    let count = min(header.table.byteCount, SumsArea.mostTableBytes)
    let bytes = try file.readUp(to: Int(count.rawValue), at: header.table.lowerBound)
    let area: SumsArea
    do throws(FormatError) {
      try SumsArea.check(header)
      var input = ByteInput(bytes.span, at: header.table.lowerBound)
      area = try SumsArea(header: header, parsing: &input)
    } catch {
      return .unusable
    }
    let blocks = image.blocks.filter { $0.layout.bitmap != nil }
    let fits =
      area.blocks.map(\.block) == blocks.map(\.block)
      && area.blocks.map(\.bitmap) == blocks.compactMap(\.layout.bitmap)
      && area.blocks.map(\.pages) == blocks.compactMap(\.layout.pages)
    return fits ? .usable(StoredSums(area: area)) : .unusable
  }

  /// Where the sums of `block` are, whose pages are `present`; `nil` where they, or the bitmap, are not what they were.
  func reader(
    of block: ImageBlock, _ present: PageBitmap, _ summer: ChunkSummer, in file: ImageFile
  ) throws(ImageError) -> Place? {
    var start = area.entries.lowerBound
    for known in area.blocks {
      let entries = start..<(start + ByteCount(known.entryCount * ContentSum.byteCount))
      start = entries.upperBound
      guard known.block.idstr == block.idstr else { continue }
      guard summer.entryCount(present) == known.entryCount,
        try file.sum(of: known.bitmap) == known.bitmapSum,
        try file.sum(of: entries) == known.entriesSum
      else { return nil }
      return Place(entries: entries)
    }
    return nil
  }
}
