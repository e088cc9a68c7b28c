import LinuxIO
import MappedRAMFormat
import Synchronization

/// A block's part of a round: reads its pages, finds the zero pages, and writes those that are not in their slots as they are now.
///
/// While nothing changes, one round is a save. A live save makes several, and what they know of the slots stands in `SlotStates`. The
/// guest may write meanwhile: what is hashed is the copy that is written, torn or not, and a later round finds the difference.
final class BlockSave: Transfer {
  let source: SourceAccess
  let target: TargetAccess
  let limit: BandwidthLimit?
  /// Pages that are in their slots now. Complete after a sync.
  let present: SharedBitmap
  private let pages: any PageSource
  private let extents: ExtentPlan
  private let slots: FileOffset
  /// What is known of the slots from earlier rounds; `nil` where there is but one.
  private let states: SlotStates?
  /// Pages that are sent before they change, while the guest runs on; `nil` where nothing changes, or in rounds.
  private let sent: (pages: SentPages, block: SentBlock)?
  /// Gets the sums of what is written, where there is but one round; `nil` where they are not wanted. Of chunks with pages that are sent it
  /// gets wrong ones: `sentPages` has them.
  let sums: ChunkSums?
  /// The sums of chunks that are in the slots already; `nil` where nothing is.
  private let base: ChunkEntries?
  /// Pages to be written though they may be zero.
  private let forced: PageBitmap?
  /// Zero pages between two others are written up to this many bytes, for one request in place of two.
  private let gapBytes: Int
  /// Memory that can be looked at where it is before it is copied; `nil` in a first round, which needs all of it.
  private let mapping: Mapping?
  private let hasFilled = Atomic<Bool>(false)
  /// A part of the block in which this round has found nothing: where little is there, an extent is a look at this, and no system call.
  private let emptyPart = Monitor<Range<UInt64>>(0..<0)
  private let readBytesCounter = Atomic<UInt64>(0)
  private let changedPagesCounter = Atomic<UInt64>(0)
  private let sharedPagesCounter = Atomic<UInt64>(0)

  /// The longest gap that is worth it: a request costs about 10 us of a processor, and 4 KiB written about 2 us of a disk of
  /// 2 GiB/s (measured with every second page zero).
  static let gapBytes = 16 << 10

  /// The only save of `block`, whose pages are `pages` and whose slots begin at `slots` of `file`.
  convenience init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    forced: PageBitmap?, gapBytes: Int = 0, sums: ChunkSums? = nil, base: ChunkEntries? = nil,
    extentBytes: Int
  ) {
    self.init(
      block, pages, file, slots, source: pages.readAccess, forced: forced, gapBytes: gapBytes,
      sums: sums, base: base, extentBytes: extentBytes)
  }

  /// The only save of `block`, number `index` of the plan, beside `sent`, who gets its pages before they change.
  convenience init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    beside sent: SentPages, _ index: Int, gapBytes: Int, sums: ChunkSums? = nil,
    base: ChunkEntries? = nil, extentBytes: Int
  ) {
    self.init(
      block, pages, file, slots, source: pages.readAccess.copied,
      sent: (sent, sent.block(index)), gapBytes: gapBytes, sums: sums, base: base,
      extentBytes: extentBytes)
  }

  /// The save of `block` in one of several rounds.
  convenience init(
    _ block: RAMBlock, from pages: any PageSource, to file: File, slots: FileOffset,
    states: SlotStates, limit: BandwidthLimit?, isFirst: Bool, base: ChunkEntries? = nil,
    extentBytes: Int
  ) {
    var mapping: Mapping?
    if case .mapping(let found) = pages.readAccess, !isFirst { mapping = found }
    self.init(
      block, pages, file, slots, source: pages.readAccess.copied, limit: limit, states: states,
      gapBytes: Self.gapBytes, base: base, mapping: mapping, extentBytes: extentBytes)
  }

  private init(
    _ block: RAMBlock, _ pages: any PageSource, _ file: File, _ slots: FileOffset,
    source: SourceAccess, limit: BandwidthLimit? = nil, states: SlotStates? = nil,
    sent: (pages: SentPages, block: SentBlock)? = nil, forced: PageBitmap? = nil, gapBytes: Int,
    sums: ChunkSums? = nil, base: ChunkEntries? = nil, mapping: Mapping? = nil, extentBytes: Int
  ) {
    // Zeros in gaps would be written over what is shared, and a page that is forced may be a stale slot in the base. (In rounds no gap is one of
    // absent pages.)
    precondition(
      base == nil || (forced == nil && (states != nil || gapBytes == 0)), "what is there stays")
    self.base = base
    self.source = source
    target = .file(file)
    self.limit = limit
    present = states?.present ?? SharedBitmap(pageCount: block.pageCount)
    self.pages = pages
    extents = ExtentPlan(
      byteCount: block.usedLength.rawValue, pageSize: block.pageSize, extentBytes: extentBytes)
    self.slots = slots
    self.states = states
    self.sent = sent
    self.sums = sums
    self.forced = forced
    self.gapBytes = gapBytes
    self.mapping = mapping
  }

  /// Pages that are in their slots. Only after a sync.
  var bitmap: PageBitmap {
    var bitmap = present.bitmap
    if let sent { bitmap.formUnion(sent.block.present.bitmap) }
    return bitmap
  }

  /// Those of them that were sent; `nil` where none can be. Only after a sync.
  var sentPages: PageBitmap? { sent?.block.present.bitmap }

  /// Whether zeros were written between pages: there are absent pages whose slots are no holes. Complete after a sync.
  var fillsGaps: Bool { hasFilled.load(ordering: .relaxed) }
  /// Bytes that were read, in one of several rounds. Complete after a sync.
  var readBytes: UInt64 { readBytesCounter.load(ordering: .relaxed) }
  /// Bytes of pages that had to be written in such a round. Complete after a sync.
  var changedBytes: UInt64 {
    changedPagesCounter.load(ordering: .relaxed) << UInt64(extents.pageSize.shift)
  }

  /// Bytes of pages that were in their slots already. Complete after a sync.
  var sharedBytes: UInt64 {
    sharedPagesCounter.load(ordering: .relaxed) << UInt64(extents.pageSize.shift)
  }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents.extent(index, from: 0, to: slots.rawValue) }

  // MARK: What is read

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    if forcesPages(of: extent) {
      runs.append(0..<extent.byteCount)
      return
    }
    let end = extent.sourceOffset + UInt64(extent.byteCount)
    if isKnownEmpty(extent.sourceOffset..<end) {
      drop(extent.sourceOffset..<end)
      return
    }
    var next = extent.sourceOffset
    while next < end, let found = try pages.nextData(in: next..<end) {
      let data = wholePages(found, from: next)
      drop(next..<data.lowerBound)
      runs.extend(
        with: Int(
          data.lowerBound - extent.sourceOffset)..<Int(data.upperBound - extent.sourceOffset))
      next = data.upperBound
    }
    drop(next..<end)
    if runs.isEmpty { try lookAhead(from: end) }
    guard let states else { return }
    let count = runs.reduce(0) { $0 + $1.count }
    readBytesCounter.wrappingAdd(UInt64(count), ordering: .relaxed)
    if let mapping { try keepChanged(of: &runs, in: extent, mapping, states) }
  }

  private func isKnownEmpty(_ bytes: Range<UInt64>) -> Bool {
    emptyPart.withLock { $0.lowerBound <= bytes.lowerBound && bytes.upperBound <= $0.upperBound }
  }

  /// Looks where what is there begins again. What a guest that runs touches meanwhile is found by the next round, as if it had been touched
  /// after this one has passed.
  private func lookAhead(from start: UInt64) throws(SystemCallError) {
    guard start < extents.byteCount else { return }
    let next = try pages.nextData(in: start..<extents.byteCount)?.lowerBound
    emptyPart.withLock { $0 = start..<max(start, next ?? extents.byteCount) }
  }

  private func forcesPages(of extent: Extent) -> Bool {
    guard let forced else { return false }
    return forced.population(in: pageNumbers(of: extent)) > 0
  }

  /// `range` widened to whole pages, but not before `start`.
  private func wholePages(_ range: Range<UInt64>, from start: UInt64) -> Range<UInt64> {
    let mask = UInt64(extents.pageSize.byteCount - 1)
    return max(start, range.lowerBound & ~mask)..<((range.upperBound + mask) & ~mask)
  }

  /// Takes note that the pages of `range` are zero.
  private func drop(_ range: Range<UInt64>) {
    guard let states, !range.isEmpty else { return }
    states.drop(
      extents.pages(at: range.lowerBound, count: Int(range.upperBound - range.lowerBound)))
  }

  private func pageNumbers(of extent: Extent) -> Range<Int> {
    extents.pages(at: extent.sourceOffset, count: extent.byteCount)
  }

  /// Leaves of `runs` the pages that are not as in their slots. They are looked at where they are; only what may have changed is
  /// copied then, and looked at again.
  private func keepChanged(
    of runs: inout [Run], in extent: Extent, _ mapping: Mapping, _ states: SlotStates
  ) throws(SystemCallError) {
    let first = pageNumbers(of: extent).lowerBound
    let pageBytes = extents.pageSize.byteCount
    // The changed ones are put behind the others, which go then: the array has its memory already.
    let count = runs.count
    for index in 0..<count {
      let run = runs[index]
      let start = Int(extent.sourceOffset) + run.lowerBound
      if mapping.isShared { try mapping.populate(start..<(start + run.count)) }
      // SAFETY: the run lies inside the mapping, which is referenced until this is over. A guest may write meanwhile: what is found
      // to be unchanged was so when it was read.
      unsafe mapping.withUnsafeBytes { bytes in
        for offset in stride(from: 0, to: run.count, by: pageBytes) {
          let place = start + offset
          let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[place..<(place + pageBytes)])
          if unsafe states.isUnchanged(first + (run.lowerBound + offset) / pageBytes, page) {
            continue
          }
          // It begins before the end of the last run that was given, so `extend` joins it to changed ones only.
          runs.extend(with: (run.lowerBound + offset)..<(run.lowerBound + offset + pageBytes))
        }
      }
    }
    runs.removeSubrange(..<count)
  }

  // MARK: What is written

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    if let states {
      unsafe chooseChanged(of: extent, in: bytes, read: read, into: &runs, states)
    } else {
      unsafe chooseNonzero(of: extent, in: bytes, read: read, into: &runs)
    }
  }

  private func chooseNonzero(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    let pages = pageNumbers(of: extent)
    let first = pages.lowerBound
    // What was sent before it was read here is not taken from here.
    sent?.pages.settle()
    for run in read {
      let chosenBefore = runs.count
      var hasSent = false
      unsafe ZeroScan.appendRuns(
        of: run, pageBytes: extents.pageSize.byteCount, in: bytes, to: &runs
      ) { page, isZero in
        if isZero, forced?[first + page] != true {
          if sent?.block.claims.isTaken(first + page) == true { hasSent = true }
          return false
        }
        if let sent, !sent.block.claims.take(first + page) {
          hasSent = true
          return false
        }
        present.insert(first + page)
        return true
      }
      // A slot between two others may be one of those that were sent.
      if hasSent { continue }
      // No longer than what is before it: so a file never takes more than twice the room.
      let chosen = runs.count
      runs.join(from: chosenBefore, gapBytes: gapBytes) { gap, before in gap.count <= before }
      if runs.count < chosen { hasFilled.store(true, ordering: .relaxed) }
    }
    guard let sums else { return }
    var known = known(pages)
    unsafe sums.note(
      pages, in: UnsafeRawBufferPointer(bytes), isPresent: present.contains
    ) { chunk, sum in
      known.compare(chunk, sum)
    }
    drop(known, of: pages, from: &runs)
  }

  /// Chunks of an extent that are in their slots already.
  private struct KnownChunks {
    fileprivate var expected: ArraySlice<(chunk: Int, sum: ContentSum?)>
    fileprivate var same: [Int] = []

    /// Takes the chunks in their order.
    mutating func compare(_ chunk: Int, _ sum: ContentSum) {
      while let next = expected.first, next.chunk < chunk { expected.removeFirst() }
      if let next = expected.first, next.chunk == chunk, next.sum == sum { same.append(chunk) }
    }
  }

  /// What the base has of the extent of `pages`. Where that cannot be read, nothing is known, and all is written.
  private func known(_ pages: Range<Int>) -> KnownChunks {
    guard let base, let found = try? base.read(pages) else { return KnownChunks(expected: []) }
    return KnownChunks(expected: found[...])
  }

  /// Takes what need not be written out of `runs`, which are of the extent of `pages`.
  private func drop(_ known: KnownChunks, of pages: Range<Int>, from runs: inout [Run]) {
    guard let base, !known.same.isEmpty else { return }
    let count = runs.count
    var shared = 0
    var next = known.same[...]
    // The others are put behind these, which go then.
    for index in 0..<count {
      var run = runs[index]
      while let chunk = next.first {
        let bytes = extents.bytes(of: base.summer.pages(of: chunk), behind: pages.lowerBound)
        if bytes.lowerBound >= run.upperBound { break }
        let same = bytes.clamped(to: run)
        if same.lowerBound > run.lowerBound { runs.append(run.lowerBound..<same.lowerBound) }
        shared += same.count
        run = max(run.lowerBound, same.upperBound)..<run.upperBound
        if bytes.upperBound > run.upperBound || run.isEmpty { break }
        next.removeFirst()
      }
      if !run.isEmpty { runs.append(run) }
    }
    runs.removeSubrange(..<count)
    sharedPagesCounter.wrappingAdd(UInt64(shared >> extents.pageSize.shift), ordering: .relaxed)
  }

  private func chooseChanged(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run],
    into runs: inout [Run], _ states: SlotStates
  ) {
    let first = pageNumbers(of: extent).lowerBound
    let pageBytes = extents.pageSize.byteCount
    let shift = extents.pageSize.shift
    var changed = 0
    for run in read {
      let chosenBefore = runs.count
      unsafe ZeroScan.appendRuns(of: run, pageBytes: pageBytes, in: bytes, to: &runs) {
        number, isZero in
        let start = number * pageBytes
        let page = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageBytes)])
        let isWritten = unsafe states.take(first + number, page, isZero: isZero)
        if isWritten { changed += 1 }
        return isWritten
      }
      // What is between is in the buffer, as in its slots, if it is nothing that is zero.
      runs.join(from: chosenBefore, gapBytes: gapBytes) { gap, _ in
        let pages = (first + gap.lowerBound >> shift)..<(first + gap.upperBound >> shift)
        return pages.allSatisfy(states.present.contains)
      }
    }
    changedPagesCounter.wrappingAdd(UInt64(changed), ordering: .relaxed)
    guard let base else { return }
    let pages = pageNumbers(of: extent)
    var known = known(pages)
    for chunk in base.summer.chunks(of: pages)
    where base.summer.pages(of: chunk).contains(where: states.present.contains) {
      known.compare(
        chunk,
        base.summer.sum(of: chunk) { states.present.contains($0) ? states.sum(of: $0) : nil })
    }
    drop(known, of: pages, from: &runs)
  }
}

extension SourceAccess {
  /// The same by copies: written from where it is, memory could change after it was looked at.
  fileprivate var copied: SourceAccess {
    if case .mapping(let mapping) = self { .copy(MappedCopy(mapping: mapping)) } else { self }
  }
}

extension [Run] {
  /// Appends `run`, as more of the last one where that ends there.
  fileprivate mutating func extend(with run: Run) {
    if let last, last.upperBound == run.lowerBound {
      self[count - 1] = last.lowerBound..<run.upperBound
    } else {
      append(run)
    }
  }
}

/// Memory that is mapped here, copied by calls.
private struct MappedCopy: CopyingSource {
  let mapping: Mapping

  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    // SAFETY: slicing checks that the run lies inside; the mapping is referenced until the copy is over.
    unsafe mapping.withUnsafeBytes { bytes in
      let part = unsafe bytes[Int(offset)..<(Int(offset) + buffer.count)]
      unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
    }
  }
}
