import Glibc
import LinuxIO
import MappedRAMFormat

/// Reads pages of a block on both sides, and notes which differ.
///
/// Those of the first side are read by the channel's ring, those of the second by calls of the same thread: chunks that differ are few, or
/// the images have little in common.
final class PageSearch: Transfer {
  let source: SourceAccess
  let target: TargetAccess = .copy(Nowhere())
  private let first: ComparedSide
  private let second: ComparedSide
  private let wanted: PageBitmap
  /// Those of them that the first side has.
  private let read: PageBitmap
  private let extents: ExtentPlan
  private let found: SharedBitmap
  private let failure = Monitor<SystemCallError?>(nil)

  private static let pagesAtOnce = 64

  /// Compares the pages `wanted` of a block of `byteCount` bytes.
  init(
    _ first: ComparedSide, _ second: ComparedSide, in wanted: PageBitmap, pageSize: PageSize,
    byteCount: UInt64, extentBytes: Int
  ) {
    source = first.source
    self.first = first
    self.second = second
    self.wanted = wanted
    var read = wanted
    read.formIntersection(first.present)
    self.read = read
    found = SharedBitmap(pageCount: wanted.pageCount)
    extents = ExtentPlan(byteCount: byteCount, pageSize: pageSize, extentBytes: extentBytes)
  }

  /// The pages that differ. After a sync.
  func differing() throws(ImageError) -> PageBitmap {
    if let error = failure.withLock({ $0 }) { throw .system(error) }
    return found.bitmap
  }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent {
    extents.extent(index, from: first.start, to: 0)
  }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    // As in `SlotSums`.
    extents.appendRuns(
      of: read, in: pages, gapBytes: source.isFile ? BlockRestore.gapBytes : 0, to: &runs)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    for range in wanted.runs(in: pages) {
      var page = range.lowerBound
      while page < range.upperBound {
        // As much of the other side is in memory at once.
        let part = page..<min(page + Self.pagesAtOnce, range.upperBound)
        let place = extents.bytes(of: part, behind: pages.lowerBound)
        do throws(SystemCallError) {
          unsafe try compare(part, with: UnsafeRawBufferPointer(rebasing: bytes[place]))
        } catch {
          return failure.withLock { if $0 == nil { $0 = error } }
        }
        page = part.upperBound
      }
    }
  }

  /// Compares `pages`, of which `bytes` has what is present in the first image.
  private func compare(
    _ pages: Range<Int>, with bytes: UnsafeRawBufferPointer
  ) throws(SystemCallError) {
    let pageBytes = extents.pageSize.byteCount
    var other = [UInt8](repeating: 0, count: pages.count * pageBytes)
    for run in second.present.runs(in: pages) {
      let bytes = try second.read(
        run.count * pageBytes, at: UInt64(run.lowerBound) << UInt64(extents.pageSize.shift))
      other.replaceSubrange(
        extents.bytes(of: run, behind: pages.lowerBound), with: bytes)
    }
    for page in pages {
      let start = (page - pages.lowerBound) * pageBytes
      let range = start..<(start + pageBytes)
      // SAFETY: the bytes are those of the pages, and `other` has as many.
      let isEqual = unsafe other.withUnsafeBytes { others in
        let one =
          unsafe first.present[page] ? UnsafeRawBufferPointer(rebasing: bytes[range]) : nil
        let two =
          unsafe second.present[page] ? UnsafeRawBufferPointer(rebasing: others[range]) : nil
        return unsafe Self.areEqual(one, two)
      }
      if !isEqual { found.insert(page) }
    }
  }

  /// Whether two pages hold the same bytes; `nil` is a page of zeros.
  private static func areEqual(
    _ one: UnsafeRawBufferPointer?, _ other: UnsafeRawBufferPointer?
  ) -> Bool {
    switch unsafe (one, other) {
    case (nil, nil): true
    case (let page?, nil), (nil, let page?): unsafe ZeroScan.isZero(page)
    case (let page?, let other?): unsafe areSame(page, other)
    }
  }

  /// Whether two pages, which have as many bytes, hold the same.
  private static func areSame(
    _ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer
  ) -> Bool {
    guard let left = one.baseAddress, let right = other.baseAddress else { return true }
    // SAFETY: both have the bytes of a page.
    return unsafe memcmp(left, right, min(one.count, other.count)) == 0
  }
}
