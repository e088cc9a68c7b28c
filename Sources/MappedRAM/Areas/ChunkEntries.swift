import LinuxIO
import MappedRAMFormat

/// The sums of a block's chunks as they stand in a file, extent by extent.
struct ChunkEntries: Sendable {
  let summer: ChunkSummer
  private let bitmap: PageBitmap
  private let extents: ExtentPlan
  private let file: File
  /// For each extent the place of its first entry in the file.
  private let places: [UInt64]

  /// The entries of `block`, whose present pages are `bitmap`, which stand in `file` from `start` on.
  ///
  /// - Precondition: there is an entry for each chunk with a present page.
  init(
    _ block: RAMBlock, bitmap: PageBitmap, at start: FileOffset, in file: File,
    _ extents: ExtentPlan
  ) {
    let summer = ChunkSummer(block)
    var places: [UInt64] = []
    places.reserveCapacity(extents.count)
    var place = start.rawValue
    for index in 0..<extents.count {
      places.append(place)
      let bytes = extents.bytes(index)
      let pages = extents.pages(
        at: bytes.lowerBound, count: Int(bytes.upperBound - bytes.lowerBound))
      let count = summer.chunks(of: pages).count { summer.hasEntry($0, bitmap) }
      place += UInt64(count * ContentSum.byteCount)
    }
    self.summer = summer
    self.bitmap = bitmap
    self.extents = extents
    self.file = file
    self.places = places
  }

  /// The chunks of the extent of `pages` that have an entry, each with its sum; `nil` where the file has ended before.
  func read(_ pages: Range<Int>) throws(SystemCallError) -> [(chunk: Int, sum: ContentSum?)] {
    let chunks = summer.chunks(of: pages).filter { summer.hasEntry($0, bitmap) }
    guard !chunks.isEmpty else { return [] }
    let index = (pages.lowerBound << extents.pageSize.shift) / extents.extentBytes
    let bytes = try file.readBytes(
      at: places[index], count: chunks.count * ContentSum.byteCount)
    let sums = ContentSum.list(bytes)
    return chunks.enumerated().map { ($1, $0 < sums.count ? sums[$0] : nil) }
  }
}
