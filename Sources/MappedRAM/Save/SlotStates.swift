import LinuxIO
import MappedRAMFormat

/// What the rounds of a live save know of a block's slots, from the first to the last.
final class SlotStates: Sendable {
  /// Pages whose present version is in their slot. Complete after a sync.
  let present: SharedBitmap
  /// Pages that were present in an earlier round: unless they are again, their slots hold stale bytes.
  let freed: SharedBitmap
  private let hashes: PageHashes
  private let pageSize: PageSize

  /// Of `block` nothing is known yet.
  ///
  /// - Throws: where there is not as much memory as the hashes may need.
  init(_ block: RAMBlock) throws(SystemCallError) {
    present = SharedBitmap(pageCount: block.pageCount)
    freed = SharedBitmap(pageCount: block.pageCount)
    hashes = try PageHashes(pageCount: block.pageCount)
    pageSize = block.pageSize
  }

  /// Bytes of memory for the hashes at most.
  var hashByteCount: Int { hashes.byteCount }

  /// Takes note of `page`, which has `bytes` now. Returns whether they have to be written to its slot.
  func take(_ page: Int, _ bytes: UnsafeRawBufferPointer, isZero: Bool) -> Bool {
    guard !isZero else {
      drop(page..<(page + 1))
      return false
    }
    let isNew = hashes.update(page, to: unsafe ContentSum(of: bytes))
    // The hash of a page that has become zero is that of bytes in its slot; but the slot may not stay as it is.
    if !present.contains(page) {
      present.insert(page)
      return true
    }
    return isNew
  }

  /// Whether `page`, which has `bytes`, is as in its slot, or zero and absent as before. Changes nothing.
  func isUnchanged(_ page: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard present.contains(page) else { return unsafe ZeroScan.isZero(bytes) }
    // Zeros have a hash as well, but no slot may keep them.
    return unsafe hashes.hash(of: page) == ContentSum(of: bytes) && !ZeroScan.isZero(bytes)
  }

  /// The sum of `page`, which is present. Only after a sync.
  func sum(of page: Int) -> ContentSum { hashes.hash(of: page) }

  /// Takes note that the pages of `range` are zero.
  func drop(_ range: Range<Int>) { present.move(range, to: freed) }

  /// Pages whose slots hold stale bytes. Only after a sync.
  var stalePages: PageBitmap {
    var pages = freed.bitmap
    pages.subtract(present.bitmap)
    return pages
  }
}
