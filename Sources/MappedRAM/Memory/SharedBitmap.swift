import MappedRAMFormat

/// A page bitmap that several channels fill at the same time.
///
/// Work is dealt in pieces of a multiple of 64 pages, so that no two channels ever own bits of one word; a sync lies between
/// their writing and anybody's reading. Hence there is no atomic operation in it.
@safe
final class SharedBitmap: @unchecked Sendable {
  let pageCount: Int
  private let words: UnsafeMutableBufferPointer<UInt64>

  /// A bitmap of `pageCount` pages, all absent.
  init(pageCount: Int) {
    self.pageCount = pageCount
    let count = PageBitmap.wordCount(for: pageCount)
    unsafe words = .allocate(capacity: count)
    unsafe words.initialize(repeating: 0)
  }

  deinit { unsafe words.deallocate() }

  /// Marks `page` present. Only by the owner of its word.
  func insert(_ page: Int) {
    precondition((0..<pageCount).contains(page), "no such page")
    unsafe words[page >> 6] |= 1 << UInt64(page & 63)
  }

  /// The bitmap as a value. Only after a sync.
  var bitmap: PageBitmap { unsafe PageBitmap(pageCount: pageCount, words: Array(words)) }
}
