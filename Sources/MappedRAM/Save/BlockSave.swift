import LinuxIO
import MappedRAMFormat
import Synchronization

/// Writes a block's pages into their slots: reads the source, finds the zero pages, leaves them out.
final class BlockSave: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  /// The pages that were written, or will have to be taken as present. Complete after a sync.
  let present: SharedBitmap
  private let hasFilled = Atomic<Bool>(false)
  private let pages: any PageSource
  private let extents: ExtentPlan
  private let slots: FileOffset
  /// Pages to be written though they may be zero.
  private let forced: PageBitmap?
  /// Zero pages between two others are written up to this many bytes, for one request in place of two.
  private let gapBytes: Int

  /// The longest gap that is worth it: a request costs about 10 us of a processor, and 4 KiB written about 2 us of a disk of
  /// 2 GiB/s (measured with every second page zero).
  static let gapBytes = 16 << 10

  /// A save of `pages`, which are those of `block`, to the slots that begin at `slots` of `file`.
  init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    forced: PageBitmap?, gapBytes: Int = 0, extentBytes: Int
  ) {
    source = pages.readAccess
    target = .file(file)
    present = SharedBitmap(pageCount: block.pageCount)
    self.pages = pages
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.slots = slots
    self.forced = forced
    self.gapBytes = gapBytes
  }

  var extentCount: Int { extents.count }

  /// Whether zeros were written between pages: there are absent pages whose slots are no holes. Complete after a sync.
  var fillsGaps: Bool { hasFilled.load(ordering: .relaxed) }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: 0, to: slots.rawValue) }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let start = extent.sourceOffset
    let end = start + UInt64(extent.byteCount)
    if forcesPages(of: extent) {
      runs.append(0..<extent.byteCount)
      return
    }
    let mask = UInt64(extents.pageSize.byteCount - 1)
    var next = start
    while next < end, let data = try pages.nextData(in: next..<end) {
      let first = Int((data.lowerBound & ~mask) - start)
      let last = Int(((data.upperBound + mask) & ~mask) - start)
      if let previous = runs.last, previous.upperBound >= first {
        runs[runs.count - 1] = previous.lowerBound..<max(last, previous.upperBound)
      } else {
        runs.append(first..<last)
      }
      next = data.upperBound
    }
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let first = extents.pages(at: extent.sourceOffset, count: extent.byteCount).lowerBound
    for run in read {
      let chosenBefore = runs.count
      unsafe ZeroScan.appendRuns(
        of: run, pageBytes: extents.pageSize.byteCount, in: bytes, to: &runs
      ) { page, isZero in
        if isZero, forced?[first + page] != true { return false }
        present.insert(first + page)
        return true
      }
      // No longer than what is before it: so a file never takes more than twice the room.
      let chosen = runs.count
      runs.join(from: chosenBefore, gapBytes: gapBytes) { gap, before in gap.count <= before }
      if runs.count < chosen { hasFilled.store(true, ordering: .relaxed) }
    }
  }

  private func forcesPages(of extent: Extent) -> Bool {
    guard let forced else { return false }
    let range = extents.pages(at: extent.sourceOffset, count: extent.byteCount)
    return forced.population(in: range) > 0
  }
}
