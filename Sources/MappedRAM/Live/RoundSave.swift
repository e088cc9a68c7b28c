import LinuxIO
import MappedRAMFormat
import Synchronization

/// A round of a live save over a block: reads its pages and writes those that are not in their slots yet, as they are now.
///
/// The guest may write meanwhile: what is hashed is the copy that is written, torn or not, and a later round finds the difference.
final class RoundSave: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  private let pages: any PageSource
  private let state: RoundPages
  private let extents: ExtentPlan
  private let slots: FileOffset
  /// Memory that can be looked at where it is; `nil` in the first round, which needs all of it.
  private let mapping: Mapping?
  let limit: BandwidthLimit?
  private let readBytesCounter = Atomic<UInt64>(0)
  private let changedPagesCounter = Atomic<UInt64>(0)

  /// A round over `block`, whose pages are `pages` and whose slots begin at `slots` of `file`.
  init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    state: RoundPages, limit: BandwidthLimit?, isFirst: Bool, extentBytes: Int
  ) {
    if !isFirst, case .memory(let mapping) = pages.readAccess {
      self.mapping = mapping
    } else {
      mapping = nil
    }
    source = Self.copying(pages.readAccess)
    target = .file(file)
    self.pages = pages
    self.state = state
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.slots = slots
    self.limit = limit
  }

  /// Memory that is mapped here is copied: written from where it is, it could change between the hash and the disk.
  private static func copying(_ access: SourceAccess) -> SourceAccess {
    if case .memory(let mapping) = access { .copy(MappedCopy(mapping: mapping)) } else { access }
  }

  /// Bytes that were read. Complete after a sync.
  var readBytes: UInt64 { readBytesCounter.load(ordering: .relaxed) }
  /// Bytes of pages that had to be written. Complete after a sync.
  var changedBytes: UInt64 {
    changedPagesCounter.load(ordering: .relaxed) << UInt64(extents.pageSize.shift)
  }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: 0, to: slots.rawValue) }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let start = extent.sourceOffset
    try chooseData(of: start..<start + UInt64(extent.byteCount), in: extent, into: &runs)
    let count = runs.reduce(0) { $0 + $1.count }
    readBytesCounter.wrappingAdd(UInt64(count), ordering: .relaxed)
    if let mapping { runs = try changedRuns(of: runs, in: extent, mapping) }
  }

  /// Chooses the data in `range`, which is of whole pages; the rest of it is zero now.
  private func chooseData(
    of range: Range<UInt64>, in extent: Extent, into runs: inout [Run]
  ) throws(SystemCallError) {
    var next = range.lowerBound
    while next < range.upperBound, let found = try pages.nextData(in: next..<range.upperBound) {
      let data = whole(found, from: next)
      drop(next..<data.lowerBound)
      let run =
        Int(data.lowerBound - extent.sourceOffset)..<Int(data.upperBound - extent.sourceOffset)
      if let last = runs.last, last.upperBound == run.lowerBound {
        runs[runs.count - 1] = last.lowerBound..<run.upperBound
      } else {
        runs.append(run)
      }
      next = data.upperBound
    }
    drop(next..<range.upperBound)
  }

  /// The pages of `runs`, as runs, that are not as in their slots. They are looked at where they are; only what may have changed is
  /// copied then, and looked at again.
  private func changedRuns(
    of runs: [Run], in extent: Extent, _ mapping: Mapping
  ) throws(SystemCallError) -> [Run] {
    let first = extents.pages(at: extent.sourceOffset, count: extent.byteCount).lowerBound
    let pageBytes = extents.pageSize.byteCount
    var changed: [Run] = []
    for run in runs {
      let start = Int(extent.sourceOffset) + run.lowerBound
      if mapping.isShared { try mapping.populate(start..<(start + run.count)) }
      // SAFETY: the run lies inside the mapping, which is referenced until this is over. A guest may write meanwhile: what is found
      // to be unchanged was so when it was read.
      unsafe mapping.withUnsafeBytes { bytes in
        for offset in stride(from: 0, to: run.count, by: pageBytes) {
          let place = start + offset
          let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[place..<(place + pageBytes)])
          if unsafe state.isUnchanged(first + (run.lowerBound + offset) / pageBytes, page) {
            continue
          }
          let range = (run.lowerBound + offset)..<(run.lowerBound + offset + pageBytes)
          if let last = changed.last, last.upperBound == range.lowerBound {
            changed[changed.count - 1] = last.lowerBound..<range.upperBound
          } else {
            changed.append(range)
          }
        }
      }
    }
    return changed
  }

  /// `range` widened to whole pages, but not before `start`.
  private func whole(_ range: Range<UInt64>, from start: UInt64) -> Range<UInt64> {
    let mask = UInt64(extents.pageSize.byteCount - 1)
    return max(start, range.lowerBound & ~mask)..<((range.upperBound + mask) & ~mask)
  }

  private func drop(_ range: Range<UInt64>) {
    guard !range.isEmpty else { return }
    state.drop(extents.pages(at: range.lowerBound, count: Int(range.upperBound - range.lowerBound)))
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let first = extents.pages(at: extent.sourceOffset, count: extent.byteCount).lowerBound
    let pageBytes = extents.pageSize.byteCount
    var changed = 0
    for run in read {
      let chosenBefore = runs.count
      unsafe ZeroScan.appendRuns(of: run, pageBytes: pageBytes, in: bytes, to: &runs) {
        number, isZero in
        let start = number * pageBytes
        let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageBytes)])
        let isWritten = unsafe state.take(first + number, page, isZero: isZero)
        if isWritten { changed += 1 }
        return isWritten
      }
      // What is between is in the buffer, as in its slots, if it is nothing that is zero.
      let shift = extents.pageSize.shift
      runs.join(from: chosenBefore, gapBytes: BlockSave.gapBytes) { gap, _ in
        let pages = (first + gap.lowerBound >> shift)..<(first + gap.upperBound >> shift)
        return pages.allSatisfy(state.present.contains)
      }
    }
    changedPagesCounter.wrappingAdd(UInt64(changed), ordering: .relaxed)
  }
}

/// Memory that is mapped here, copied by calls.
private struct MappedCopy: CopyingSource {
  let mapping: Mapping

  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    // SAFETY: slicing checks that the part lies inside; the mapping is referenced until the copy is over.
    unsafe mapping.withUnsafeBytes { bytes in
      let part = unsafe bytes[Int(offset)..<(Int(offset) + buffer.count)]
      unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
    }
  }
}
