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

  static func find(in image: Image, _ file: ImageFile) throws(ImageError) -> Found {
    guard let header = try SumsArea.header(of: image, in: file) else { return .none }
    guard case .success(let area) = try SumsArea.read(header, of: file), area.hasBlocks(of: image)
    else { return .unusable }
    return .usable(StoredSums(area: area))
  }

  /// Where the sums of `block` are, whose pages are `present`; `nil` where they, or the bitmap, are not what they were.
  func entries(
    of block: ImageBlock, _ present: PageBitmap, _ summer: ChunkSummer, in file: ImageFile
  ) throws(ImageError) -> Range<FileOffset>? {
    guard let (known, entries) = area.entries(of: block),
      summer.entryCount(present) == known.entryCount,
      try file.sum(of: known.bitmap) == known.bitmapSum,
      try file.sum(of: entries) == known.entriesSum
    else { return nil }
    return entries
  }
}
