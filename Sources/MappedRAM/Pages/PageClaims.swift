import Synchronization

/// Whose each page of a block is, where two may have it: the first one's to ask.
///
/// Any thread may ask at any time.
@safe
final class PageClaims: @unchecked Sendable {
  // @unchecked Sendable: the words are atomic.

  let pageCount: Int
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  private let wordCount: Int

  /// Claims of `pageCount` pages, none of which has been asked for.
  init(pageCount: Int) {
    self.pageCount = pageCount
    wordCount = (pageCount + 63) / 64
    unsafe words = .allocate(capacity: wordCount)
    for index in 0..<wordCount { unsafe (words + index).initialize(to: Atomic(0)) }
  }

  deinit {
    unsafe words.deinitialize(count: wordCount)
    unsafe words.deallocate()
  }

  /// Asks for `page`. Whether it is the caller's: nobody has asked before.
  func take(_ page: Int) -> Bool {
    precondition((0..<pageCount).contains(page), "no such page")
    let bit: UInt64 = 1 << UInt64(page & 63)
    let before = unsafe words[page >> 6].bitwiseOr(bit, ordering: .acquiringAndReleasing).oldValue
    return before & bit == 0
  }

  /// Asks for all pages.
  func takeAll() {
    for index in 0..<wordCount { unsafe words[index].store(.max, ordering: .releasing) }
  }

  /// Whether somebody has asked for `page`.
  func isTaken(_ page: Int) -> Bool {
    precondition((0..<pageCount).contains(page), "no such page")
    return unsafe words[page >> 6].load(ordering: .acquiring) & 1 << UInt64(page & 63) != 0
  }
}
