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

  /// Whether `page` is present. Only by the owner of its word.
  func contains(_ page: Int) -> Bool {
    precondition((0..<pageCount).contains(page), "no such page")
    return unsafe words[page >> 6] & 1 << UInt64(page & 63) != 0
  }

  /// Takes the pages of `range` out of this bitmap, and puts those that were in it into `other`. Only by the owner of their words.
  func move(_ range: Range<Int>, to other: SharedBitmap) {
    precondition(range.lowerBound >= 0 && range.upperBound <= pageCount, "no such page")
    precondition(other.pageCount == pageCount, "bitmaps of the same pages")
    var page = range.lowerBound
    while page < range.upperBound {
      // As far as the word goes, which in most cases has nothing.
      let (word, first) = (page >> 6, page & 63)
      let count = min(64 - first, range.upperBound - page)
      let moved = unsafe words[word] & (~0 >> UInt64(64 - count)) << UInt64(first)
      if moved != 0 {
        unsafe words[word] &= ~moved
        unsafe other.words[word] |= moved
      }
      page += count
    }
  }

  /// The bitmap as a value. Only after a sync.
  var bitmap: PageBitmap { unsafe PageBitmap(pageCount: pageCount, words: Array(words)) }
}
