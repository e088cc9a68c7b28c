import LinuxIO
import MappedRAMFormat

/// Reads a block's present pages, and notes the sums of its chunks in a file.
final class ChunkHashing: Transfer {
  let source: SourceAccess
  let target: TargetAccess = .copy(Nowhere())
  private let summer: ChunkSummer
  private let bitmap: PageBitmap
  private let extents: ExtentPlan
  private let start: UInt64
  private let noted: File
  private let failure = Monitor<SystemCallError?>(nil)

  /// The pages `pages` of `block`. Their sums go to `sums`, which has room for all chunks.
  init(
    _ block: RAMBlock, _ summer: ChunkSummer, _ pages: SidePages, sums: File, extentBytes: Int
  ) {
    source = pages.source
    self.summer = summer
    bitmap = pages.present
    start = pages.start
    noted = sums
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
  }

  /// The sums of `chunks`; of those without a present page they mean nothing. After a sync.
  func sums(of chunks: Range<Int>) throws(ImageError) -> [ContentSum] {
    if let error = failure.withLock({ $0 }) { throw .system(error) }
    return ContentSum.list(
      try ImageFile(noted).read(
        chunks.count * ContentSum.byteCount,
        at: FileOffset(UInt64(chunks.lowerBound * ContentSum.byteCount))))
  }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: start, to: 0) }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    let first = runs.count
    runs += bitmap.runs(in: pages).lazy.map { [extents] in extents.run(of: $0, from: pages) }
    // A hole in memory that is touched is one no more.
    runs.join(from: first, gapBytes: source.isFile ? BlockRestore.gapBytes : 0) { _, _ in true }
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    let chunks = summer.chunks(of: pages)
    guard bitmap.population(in: pages) > 0 else { return }
    let pageBytes = extents.pageSize.byteCount
    var output = ByteOutput(at: FileOffset(UInt64(chunks.lowerBound * ContentSum.byteCount)))
    for chunk in chunks {
      let sum = summer.sum(of: chunk) { page in
        guard bitmap[page] else { return nil }
        let start = (page - pages.lowerBound) * pageBytes
        return unsafe ContentSum(
          of: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageBytes)]))
      }
      sum.encode(into: &output)
    }
    do throws(SystemCallError) {
      try noted.write(output.bytes, at: output.base.rawValue)
    } catch {
      failure.withLock { if $0 == nil { $0 = error } }
    }
  }
}

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
  private let extents: ExtentPlan
  private let found: SharedBitmap
  private let failure = Monitor<SystemCallError?>(nil)

  /// Compares the pages `wanted` of a block of `byteCount` bytes.
  init(
    _ first: ComparedSide, _ second: ComparedSide, in wanted: PageBitmap, pageSize: PageSize,
    byteCount: UInt64, extentBytes: Int
  ) {
    source = first.source
    self.first = first
    self.second = second
    self.wanted = wanted
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
    let start = runs.count
    for range in wanted.runs(in: pages) {
      runs += first.present.runs(in: range).lazy.map { [extents] in
        extents.run(of: $0, from: pages)
      }
    }
    runs.join(from: start, gapBytes: source.isFile ? BlockRestore.gapBytes : 0) { _, _ in true }
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    for range in wanted.runs(in: pages) {
      var page = range.lowerBound
      while page < range.upperBound {
        // No more at once than a chunk.
        let part = page..<min(page + 64, range.upperBound)
        do throws(SystemCallError) {
          unsafe try compare(
            part,
            with: UnsafeRawBufferPointer(rebasing: bytes[extents.run(of: part, from: pages)]))
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
      other.replaceSubrange(extents.run(of: run, from: pages), with: bytes)
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
    case (let page?, let other?):
      unsafe Self.areSame(page, other)
    }
  }

  /// Whether two pages, which have as many bytes, hold the same.
  private static func areSame(
    _ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer
  ) -> Bool {
    for offset in stride(from: 0, to: one.count, by: 8) {
      let left = unsafe one.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      let right = unsafe other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      if left != right { return false }
    }
    return true
  }
}

extension ExtentPlan {
  /// Where `pages` are in the extent of the pages `extent`.
  fileprivate func run(of pages: Range<Int>, from extent: Range<Int>) -> Run {
    let first = (pages.lowerBound - extent.lowerBound) << pageSize.shift
    return first..<(first + pages.count << pageSize.shift)
  }
}
