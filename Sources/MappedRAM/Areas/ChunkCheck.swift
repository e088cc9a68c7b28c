import LinuxIO
import MappedRAMFormat

/// Compares the chunks of a block, as extents of it are read, with the sums that they are to have.
final class ChunkComparison: Sendable {
  private let bitmap: PageBitmap
  private let extents: ExtentPlan
  private let entries: ChunkEntries
  private let found = Monitor(Found())

  /// What was found in a block.
  struct Found: Sendable {
    /// Chunks with another sum, the first ones.
    var damaged: [Int] = []
    /// How many there are.
    var damagedCount = 0
    /// Why the sums could not be had.
    var failure: SystemCallError?

    /// Damaged chunks of one block that are named at most; the others are counted.
    static let mostNamed = 1 << 16
  }

  /// A comparison of `block`, whose present pages are `bitmap`, with the sums that stand in `file` from `entries` on.
  ///
  /// - Precondition: there is an entry for each chunk with a present page.
  init(
    _ block: RAMBlock, bitmap: PageBitmap, entriesAt entries: FileOffset, in file: File,
    _ extents: ExtentPlan
  ) {
    self.bitmap = bitmap
    self.extents = extents
    self.entries = ChunkEntries(block, bitmap: bitmap, at: entries, in: file, extents)
  }

  /// What was found. After a sync.
  var outcome: Found { found.withLock { $0 } }

  /// Compares what was read of `extent`: its present pages are in `bytes`, which holds all of it.
  func compare(_ extent: Extent, in bytes: UnsafeRawBufferPointer) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    let expected: [(chunk: Int, sum: ContentSum?)]
    do throws(SystemCallError) {
      expected = try entries.read(pages)
    } catch {
      return found.withLock { if $0.failure == nil { $0.failure = error } }
    }
    for (chunk, wanted) in expected {
      let sum = unsafe entries.summer.sum(
        of: chunk, in: bytes, from: pages.lowerBound, isPresent: { bitmap[$0] })
      guard sum != wanted else { continue }
      found.withLock { found in
        found.damagedCount += 1
        if found.damaged.count < Found.mostNamed { found.damaged.append(chunk) }
      }
    }
  }
}

extension ChunkComparison.Found {
  /// The pages of the damaged chunks, neighbouring ones as one.
  func pages(of block: RAMBlock) -> [Range<Int>] {
    let summer = ChunkSummer(block)
    var ranges: [Range<Int>] = []
    for chunk in damaged.sorted() {
      let pages = summer.pages(of: chunk)
      if let last = ranges.last, last.upperBound == pages.lowerBound {
        ranges[ranges.count - 1] = last.lowerBound..<pages.upperBound
      } else {
        ranges.append(pages)
      }
    }
    return ranges
  }
}

/// Reads a block's present pages out of an image and compares the sums of its chunks with those that are expected.
///
/// Nothing is written anywhere.
final class ChunkCheck: Transfer {
  let source: SourceAccess
  let target: TargetAccess = .copy(Nowhere())
  private let bitmap: PageBitmap
  private let extents: ExtentPlan
  private let slots: FileOffset
  private let comparison: ChunkComparison

  /// A check of `block` in `file`, whose present pages are `bitmap`, with the sums that stand in `sums` from `entries` on.
  ///
  /// - Precondition: there is an entry for each chunk with a present page.
  init(
    _ block: SumsArea.Block, bitmap: PageBitmap, in file: File, entriesAt entries: FileOffset,
    of sums: File, extentBytes: Int
  ) {
    source = .file(file)
    self.bitmap = bitmap
    extents = ExtentPlan(
      byteCount: block.block.usedLength.rawValue, pageSize: block.block.pageSize,
      extentBytes: extentBytes)
    slots = block.pages.lowerBound
    comparison = ChunkComparison(
      block.block, bitmap: bitmap, entriesAt: entries, in: sums, extents)
  }

  /// What was found. After a sync.
  var outcome: ChunkComparison.Found { comparison.outcome }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: slots.rawValue, to: 0) }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    extents.appendRuns(of: bitmap, in: pages, gapBytes: BlockRestore.gapBytes, to: &runs)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    unsafe comparison.compare(extent, in: UnsafeRawBufferPointer(bytes))
  }
}
