import MappedRAMFormat

/// How a block's pages are dealt into extents.
///
/// An extent has as many bytes as a request, in later rounds of a live save fewer, but at least 64 pages, so that the bits of two extents
/// never share a word of a bitmap.
struct ExtentPlan: Equatable, Sendable {
  let byteCount: UInt64
  let pageSize: PageSize
  let extentBytes: Int

  /// Deals `byteCount` bytes of pages into extents of `extentBytes`; the last may be shorter.
  ///
  /// - Precondition: `extentBytes` is one that `extentBytes(for:requestBytes:)` or `leastExtentBytes(for:)` gave.
  init(byteCount: UInt64, pageSize: PageSize, extentBytes: Int) {
    precondition(extentBytes % Self.leastExtentBytes(for: pageSize) == 0, "whole words of bitmap")
    self.byteCount = byteCount
    self.pageSize = pageSize
    self.extentBytes = extentBytes
  }

  /// Bytes in an extent where requests have `requestBytes`, a power of two.
  static func extentBytes(for pageSize: PageSize, requestBytes: Int) -> Int {
    max(requestBytes, leastExtentBytes(for: pageSize))
  }

  /// Bytes in the largest extent of `blocks`, whose pages may differ in size.
  static func extentBytes(for blocks: some Sequence<RAMBlock>, requestBytes: Int) -> Int {
    blocks.reduce(requestBytes) { max($0, leastExtentBytes(for: $1.pageSize)) }
  }

  /// Bytes in the smallest extent that there can be: a word of bitmap.
  static func leastExtentBytes(for pageSize: PageSize) -> Int { 64 * pageSize.byteCount }

  var count: Int { Int((byteCount + UInt64(extentBytes) - 1) / UInt64(extentBytes)) }

  /// The bytes of extent `index`, from the block's start.
  func bytes(_ index: Int) -> Range<UInt64> {
    let start = UInt64(index) * UInt64(extentBytes)
    return start..<min(start + UInt64(extentBytes), byteCount)
  }

  /// Extent `index` of a block that begins at `source` and goes to `target`.
  func extent(_ index: Int, from source: UInt64, to target: UInt64) -> Extent {
    let bytes = bytes(index)
    return Extent(
      sourceOffset: source + bytes.lowerBound, targetOffset: target + bytes.lowerBound,
      byteCount: Int(bytes.upperBound - bytes.lowerBound))
  }

  /// The pages of the extent that begins at `start` and has `count` bytes.
  func pages(at start: UInt64, count: Int) -> Range<Int> {
    let first = Int(start >> UInt64(pageSize.shift))
    return first..<(first + count >> pageSize.shift)
  }
  /// The bytes of `pages`, counted from the first byte of page `first`.
  func bytes(of pages: Range<Int>, behind first: Int) -> Run {
    ((pages.lowerBound - first) << pageSize.shift)..<((pages.upperBound - first) << pageSize.shift)
  }

  /// Appends the bytes of the pages that `bitmap` has among `pages`, which are an extent's, to `runs`. Gaps of up to `gapBytes` are read
  /// through, for one request in place of two.
  func appendRuns(
    of bitmap: PageBitmap, in pages: Range<Int>, gapBytes: Int, to runs: inout [Run]
  ) {
    for run in bitmap.runs(in: pages) {
      let bytes = bytes(of: run, behind: pages.lowerBound)
      if let last = runs.last, bytes.lowerBound - last.upperBound <= gapBytes {
        runs[runs.count - 1] = last.lowerBound..<bytes.upperBound
      } else {
        runs.append(bytes)
      }
    }
  }
}
