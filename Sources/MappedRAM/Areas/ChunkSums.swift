import LinuxIO
import MappedRAMFormat

/// How the sums of a block's chunks are made of its pages: the sum of the sums of the pages, of which absent ones count as zeros.
struct ChunkSummer: Sendable {
  let pageSize: PageSize
  let pageCount: Int
  /// Pages in a chunk; the last may have fewer.
  let chunkPages: Int
  /// The sum of a page of zeros.
  private let zeroLeaf: ContentSum

  init(_ block: RAMBlock) {
    pageSize = block.pageSize
    pageCount = block.pageCount
    chunkPages = SumsArea.chunkPages(block.pageSize)
    zeroLeaf = ContentSum(of: Array(repeating: 0, count: block.pageSize.byteCount))
  }

  /// Chunks in the block.
  var chunkCount: Int { (pageCount + chunkPages - 1) / chunkPages }

  /// The pages of `chunk`.
  func pages(of chunk: Int) -> Range<Int> {
    chunk * chunkPages..<min((chunk + 1) * chunkPages, pageCount)
  }

  /// The chunks that the pages of `range` lie in.
  func chunks(of range: Range<Int>) -> Range<Int> {
    range.lowerBound / chunkPages..<(range.upperBound + chunkPages - 1) / chunkPages
  }

  /// Whether `chunk` has a page that is present in `bitmap`, and thus an entry.
  func hasEntry(_ chunk: Int, _ bitmap: PageBitmap) -> Bool {
    bitmap.population(in: pages(of: chunk)) > 0
  }

  /// Chunks with such pages.
  ///
  /// - Complexity: O(chunks).
  func entryCount(_ bitmap: PageBitmap) -> Int {
    (0..<chunkCount).count { hasEntry($0, bitmap) }
  }

  /// Of the pages that `present` has, those of chunks with a page of `pages`; `nil` where there are none.
  ///
  /// - Complexity: O(chunks).
  func wholeChunks(of pages: PageBitmap?, in present: PageBitmap) -> PageBitmap? {
    guard let pages, pages.population > 0 else { return nil }
    var whole = PageBitmap(pageCount: pageCount)
    for chunk in 0..<chunkCount where hasEntry(chunk, pages) {
      whole.insert(self.pages(of: chunk))
    }
    whole.formIntersection(present)
    return whole
  }

  /// The sum of a chunk with the sums that `leaf` gives of its pages; `nil` for one that is absent.
  func sum(of chunk: Int, leaf: (Int) -> ContentSum?) -> ContentSum {
    let pages = pages(of: chunk)
    return unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * pages.count) {
      halves in
      for (index, page) in pages.enumerated() {
        let sum = leaf(page) ?? zeroLeaf
        unsafe halves[2 * index] = sum.high.bigEndian
        unsafe halves[2 * index + 1] = sum.low.bigEndian
      }
      return unsafe ContentSum(of: UnsafeRawBufferPointer(halves))
    }
  }

  /// The sum of a chunk whose pages are in `bytes`, which begin with page `first`; those that are not present count as zeros.
  func sum(
    of chunk: Int, in bytes: UnsafeRawBufferPointer, from first: Int, isPresent: (Int) -> Bool
  ) -> ContentSum {
    sum(of: chunk) { page in
      guard isPresent(page) else { return nil }
      let start = (page - first) * pageSize.byteCount
      return unsafe ContentSum(
        of: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageSize.byteCount)]))
    }
  }

  /// The sum of a chunk of zeros, present or not.
  func zeroSum(of chunk: Int) -> ContentSum { sum(of: chunk) { _ in nil } }
}

/// The sums of a block's chunks as channels find them, in a file of their own: memory stays bounded however large the guest.
///
/// Each chunk has one owner at a time; a sync lies between writing and reading.
final class ChunkSums: Sendable {
  let summer: ChunkSummer
  private let file: File
  /// Where this block's sums begin in the file.
  private let base: UInt64
  private let failure = Monitor<SystemCallError?>(nil)

  /// Room for the sums of `block` in `file`, from `base` on.
  init(_ block: RAMBlock, in file: File, at base: UInt64) {
    summer = ChunkSummer(block)
    self.file = file
    self.base = base
  }

  /// The sums of `blocks`, in one file; `nil` for one without pages in the image.
  static func all(of blocks: [RAMBlock?], in file: ImageFile) throws(ImageError) -> [ChunkSums?] {
    var end: UInt64 = 0
    var all: [ChunkSums?] = []
    for block in blocks {
      guard let block else {
        all.append(nil)
        continue
      }
      let sums = ChunkSums(block, in: file.file, at: end)
      end += UInt64(sums.summer.chunkCount * ContentSum.byteCount)
      all.append(sums)
    }
    // Of extents in which nothing is, nothing is noted: holes then.
    try file.truncate(to: FileOffset(end))
    return all
  }

  /// Notes the sums of the chunks that have present pages, of the `pages` whose bytes begin at the start of `bytes`: all pages of some
  /// chunks.
  ///
  /// - Parameters:
  ///   - isPresent: whether a page is present; then its bytes are defined.
  ///   - onChunk: called with each chunk that has present pages, and its sum.
  func note(
    _ pages: Range<Int>, in bytes: UnsafeRawBufferPointer, isPresent: (Int) -> Bool,
    onChunk: (Int, ContentSum) -> Void = { _, _ in }
  ) {
    let chunks = summer.chunks(of: pages)
    unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * chunks.count) { halves in
      for (index, chunk) in chunks.enumerated() {
        var sum = ContentSum(high: 0, low: 0)
        if summer.pages(of: chunk).contains(where: isPresent) {
          sum = unsafe summer.sum(
            of: chunk, in: bytes, from: pages.lowerBound, isPresent: isPresent)
          onChunk(chunk, sum)
        }
        unsafe halves[2 * index] = sum.high.bigEndian
        unsafe halves[2 * index + 1] = sum.low.bigEndian
      }
      do throws(SystemCallError) {
        try unsafe file.write(
          UnsafeRawBufferPointer(halves),
          at: base + UInt64(chunks.lowerBound * ContentSum.byteCount))
      } catch {
        failure.withLock { if $0 == nil { $0 = error } }
      }
    }
  }

  /// The sums of `chunks`, as they stand in a file. After a sync.
  func sums(of chunks: Range<Int>) throws(ImageError) -> [ContentSum] {
    if let error = failure.withLock({ $0 }) { throw .system(error) }
    let bytes = try ImageFile(file).read(
      chunks.count * ContentSum.byteCount,
      at: FileOffset(base + UInt64(chunks.lowerBound * ContentSum.byteCount)))
    return ContentSum.list(bytes)
  }
}

extension ContentSum {
  /// The sums that `bytes` are, one behind the other.
  static func list(_ bytes: [UInt8]) -> [ContentSum] {
    var input = ByteInput(bytes.span)
    var sums: [ContentSum] = []
    sums.reserveCapacity(bytes.count / byteCount)
    do throws(FormatError) {
      while input.remaining >= byteCount {
        sums.append(try ContentSum(parsing: &input, in: .area(.sums)))
      }
    } catch {
      preconditionFailure("there are as many bytes: \(error)")
    }
    return sums
  }
}

/// Where a save has the sums of a block's chunks from.
enum BlockSums {
  /// The channels have taken them of what they wrote.
  case chunks(ChunkSums)
  /// The rounds of a live save have the sums of the pages.
  case pages(SlotStates)

  /// The sums of `chunks` of `block`, whose pages are `bitmap`.
  func sums(
    of chunks: Range<Int>, _ summer: ChunkSummer, _ bitmap: PageBitmap
  ) throws(ImageError) -> [ContentSum] {
    switch self {
    case .chunks(let sums): return try sums.sums(of: chunks)
    case .pages(let states):
      return chunks.map { chunk in
        summer.sum(of: chunk) { bitmap[$0] ? states.sum(of: $0) : nil }
      }
    }
  }
}
