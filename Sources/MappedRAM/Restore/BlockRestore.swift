import LinuxIO
import MappedRAMFormat

/// Puts a block's present pages into a target.
///
/// Absent pages are zero whatever their slots hold: a slot may keep an older version of a page that became zero during a live save.
/// Where the target starts as zeros, only present pages that are not zero are written; elsewhere the whole extent is, with
/// zeros for the absent ones.
final class BlockRestore: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  /// Pages that are present and zero nevertheless, as with `zero-page-detection=none`. Complete after a sync.
  let presentZeros: SharedBitmap
  private let bitmap: PageBitmap
  private let extents: ExtentPlan
  private let slots: FileOffset
  private let startsZero: Bool
  /// Compares what was read with the sums that it is to have; `nil` where nothing is compared.
  let comparison: ChunkComparison?

  /// A gap of absent pages up to this long is read through, for one request in place of two. With every second page absent a restore is
  /// at least twice as fast so; between 16 and 64 KiB there was no difference beyond the spread (512 MiB, 2 processors, busy with other
  /// work), so where the limit stands matters little.
  static let gapBytes = 64 << 10

  /// A restore of the pages in `bitmap`, whose slots begin at `slots` of `file`, to `pages`.
  ///
  /// - Parameter entries: where the sums of its chunks stand in the file, if they are to be compared.
  init(
    _ block: RAMBlock, bitmap: PageBitmap, from file: File, slots: FileOffset,
    to pages: any PageTarget, extentBytes: Int, comparingWith entries: FileOffset? = nil
  ) {
    precondition(bitmap.pageCount == block.pageCount, "the bitmap is the block's")
    source = .file(file)
    target = pages.writeAccess
    startsZero = pages.startsZero
    presentZeros = SharedBitmap(pageCount: block.pageCount)
    self.bitmap = bitmap
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.slots = slots
    let extents = extents
    comparison = entries.map {
      ChunkComparison(block, bitmap: bitmap, entriesAt: $0, in: file, extents)
    }
  }

  var extentCount: Int { extents.count }

  /// Bytes of the pages that are present.
  var presentBytes: UInt64 { UInt64(bitmap.population) << UInt64(extents.pageSize.shift) }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: slots.rawValue, to: 0) }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let pages = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    extents.appendRuns(of: bitmap, in: pages, gapBytes: Self.gapBytes, to: &runs)
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    unsafe comparison?.compare(extent, in: UnsafeRawBufferPointer(bytes))
    startsZero
      ? unsafe chooseNonzero(of: extent, in: bytes, into: &runs)
      : unsafe chooseAll(of: extent, in: bytes, into: &runs)
  }

  /// Chooses the present pages that are not zero.
  private func chooseNonzero(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, into runs: inout [Run]
  ) {
    let first = extents.pages(at: extent.targetOffset, count: extent.byteCount).lowerBound
    for run in presentRuns(of: extent) {
      unsafe ZeroScan.appendRuns(
        of: run, pageBytes: extents.pageSize.byteCount, in: bytes, to: &runs
      ) { page, isZero in
        if isZero { presentZeros.insert(first + page) }
        return !isZero
      }
    }
  }

  /// Chooses the whole extent, once absent pages are zeros in the buffer.
  private func chooseAll(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, into runs: inout [Run]
  ) {
    var end = 0
    for run in presentRuns(of: extent) {
      unsafe Self.clear(bytes, end..<run.lowerBound)
      end = run.upperBound
    }
    unsafe Self.clear(bytes, end..<extent.byteCount)
    runs.append(0..<extent.byteCount)
  }

  private static func clear(_ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>) {
    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range])
      .initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// The runs of present pages.
  private func presentRuns(of extent: Extent) -> some Sequence<Run> {
    let range = extents.pages(at: extent.targetOffset, count: extent.byteCount)
    let extents = extents
    return bitmap.runs(in: range).lazy.map { run in
      extents.bytes(of: run, behind: range.lowerBound)
    }
  }
}
