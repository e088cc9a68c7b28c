import LinuxIO
import MappedRAMFormat
import Synchronization

/// Pages that were sent, on their way to their slots.
///
/// They come in any order. What is neighboured in a slot travels as one extent.
final class SentBatch: Transfer, CopyingSource, @unchecked Sendable {
  // @unchecked Sendable: pages are added by one thread, before the batch is sealed; it is queued after that, under a lock, and does not
  // change any more.

  /// Where pages go.
  final class Target: Sendable {
    let file: File
    let extentBytes: Int
    fileprivate let pageSize: PageSize
    fileprivate let slots: [FileOffset?]
    /// Where each block begins if all stood one behind the other, each at the begin of an extent.
    fileprivate let starts: [UInt64]

    init(file: File, slots: [FileOffset?], blocks: [RAMBlock], extentBytes: Int) {
      self.file = file
      self.slots = slots
      self.extentBytes = extentBytes
      // A plan has one size of pages, and a block at least.
      pageSize = blocks[0].pageSize
      var starts: [UInt64] = []
      var start: UInt64 = 0
      for block in blocks {
        starts.append(start)
        let extents = (block.usedLength.rawValue + UInt64(extentBytes) - 1) / UInt64(extentBytes)
        start += extents * UInt64(extentBytes)
      }
      self.starts = starts
    }

    /// Whether pages of block number `index` have slots.
    func hasSlots(_ index: Int) -> Bool { slots[index] != nil }
  }

  private struct Page {
    /// Where it is in all blocks, as `Target.starts` has them.
    var offset: UInt64
    var block: Int
    /// Which of the pages in the memory it is.
    var index: Int
  }

  /// Bytes of pages in a batch.
  private static let capacity = 4 << 20

  var source: SourceAccess { .copy(self) }
  let target: TargetAccess
  private let destination: Target
  private let memory: Mapping
  private let pageBytes: Int
  private var pages: [Page] = []
  private var extents: [Extent] = []
  private var onFinished: @Sendable () -> Void = {}
  private let extentsLeft = Atomic<Int>(0)

  /// An empty batch.
  init(_ target: Target) throws(SystemCallError) {
    destination = target
    self.target = .file(target.file)
    pageBytes = target.pageSize.byteCount
    memory = try Mapping(anonymousByteCount: Self.capacity)
    pages.reserveCapacity(Self.capacity / pageBytes)
  }

  var isFull: Bool { (pages.count + 1) * pageBytes > Self.capacity }
  /// Bytes of all extents. Once it is sealed.
  var byteCount: UInt64 { extents.reduce(0) { $0 + UInt64($1.byteCount) } }

  /// Adds a page.
  ///
  /// - Precondition: the batch is not full, and the block has slots.
  func append(_ bytes: UnsafeRawBufferPointer, _ place: SentStreamParser.Place) {
    precondition(!isFull, "room for a page")
    let start = pages.count * pageBytes
    // SAFETY: the batch is not full, so the page fits; nobody reads it before the batch is sealed.
    let room = unsafe memory.mutableBytes[start..<(start + pageBytes)]
    unsafe UnsafeMutableRawBufferPointer(rebasing: room).copyMemory(from: bytes)
    let offset =
      destination.starts[place.block] + UInt64(place.page) << UInt64(destination.pageSize.shift)
    pages.append(Page(offset: offset, block: place.block, index: pages.count))
  }

  /// Adds no more, and calls `onFinished` once all has been written.
  func seal(onFinished: @escaping @Sendable () -> Void) {
    pages.sort { $0.offset < $1.offset }
    let extentBytes = UInt64(destination.extentBytes)
    for page in pages {
      let end = page.offset + UInt64(pageBytes)
      if let last = extents.last, last.sourceOffset / extentBytes == page.offset / extentBytes {
        extents[extents.count - 1].byteCount = Int(end - last.sourceOffset)
        continue
      }
      guard let slots = destination.slots[page.block] else {
        preconditionFailure("only blocks with pages are sent")
      }
      let place = slots + ByteCount(page.offset - destination.starts[page.block])
      extents.append(
        Extent(
          sourceOffset: page.offset, targetOffset: place.rawValue, byteCount: pageBytes))
    }
    self.onFinished = onFinished
    extentsLeft.store(extents.count, ordering: .releasing)
  }

  var extentCount: Int { extents.count }

  func extent(_ index: Int) -> Extent { extents[index] }

  /// The pages from `offset` on.
  private func firstPage(from offset: UInt64) -> Int {
    var (low, high) = (0, pages.count)
    while low < high {
      let middle = (low + high) / 2
      if pages[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func chooseReads(of extent: Extent, into runs: inout [Run]) throws(SystemCallError) {
    let end = extent.sourceOffset + UInt64(extent.byteCount)
    for page in pages[firstPage(from: extent.sourceOffset)...] {
      guard page.offset < end else { return }
      let start = Int(page.offset - extent.sourceOffset)
      if let last = runs.last, last.upperBound == start {
        runs[runs.count - 1] = last.lowerBound..<(start + pageBytes)
      } else {
        runs.append(start..<(start + pageBytes))
      }
    }
  }

  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    let first = firstPage(from: offset)
    for (number, page) in pages[first..<(first + buffer.count / pageBytes)].enumerated() {
      let start = page.index * pageBytes
      let place = number * pageBytes
      // SAFETY: slicing checks both; the memory does not change any more.
      let bytes = unsafe memory.mutableBytes[start..<(start + pageBytes)]
      unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[place..<(place + pageBytes)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
    }
  }

  func chooseWrites(
    of extent: Extent, in bytes: UnsafeMutableRawBufferPointer, read: [Run], into runs: inout [Run]
  ) {
    runs.append(contentsOf: read)
  }

  func finished(_ extent: Extent) {
    let left = extentsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue
    if left == 0 { onFinished() }
  }
}
