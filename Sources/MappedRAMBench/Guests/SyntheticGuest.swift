package import LinuxIO
package import MappedRAM
import MappedRAMFormat

/// A guest that never ran: memory of any size whose every page can be told from every other, and needs no room.
///
/// For measuring and testing the engine. A page is either zero or a page of random bytes out of a small arena that is stamped with its
/// number and the seed, so a page that is lost, stale or misplaced is found. Equal parameters make equal memory.
@safe
package final class SyntheticGuest: @unchecked Sendable {
  // @unchecked Sendable: nothing changes after init.

  /// What the memory is like.
  package let pattern: SyntheticPattern
  /// Bytes in a page.
  static let pageBytes = PageSize.fourKiB.byteCount

  /// The most random bytes: more than processors cache, so that copying them costs what a guest's memory would.
  private static let arenaBytes = 64 << 20
  private static let stampBytes = 16
  /// What is not random: not zero, so that no page is.
  private static let plainWord: UInt64 = 0x6D61_7070_6564_2D72

  private let arena: AlignedBuffer
  private let arenaPages: UInt64

  /// A guest with the memory `pattern`.
  ///
  /// - Throws: where there is no memory for the arena, 64 MiB at most.
  package init(_ pattern: SyntheticPattern) throws(SystemCallError) {
    self.pattern = pattern
    arena = try AlignedBuffer(byteCount: Int(min(UInt64(Self.arenaBytes), pattern.byteCount)))
    arenaPages = UInt64(arena.byteCount / Self.pageBytes)
    let randomBytes = Int((pattern.entropy * Double(Self.pageBytes)).rounded())
    var state = pattern.seed
    for offset in stride(from: 0, to: arena.byteCount, by: 8) {
      let isRandom = offset % Self.pageBytes < randomBytes
      let word = isRandom ? SyntheticPattern.nextWord(&state) : Self.plainWord
      // SAFETY: the arena is whole pages, so a word fits at each step.
      unsafe arena.base.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
    }
  }

  /// A guest of `byteCount` bytes whose zero pages come in runs of 16 and by chance.
  ///
  /// - Parameter zeroFraction: how many of the pages are zero, 0 to 1.
  /// - Precondition: `byteCount` is a positive multiple of 4096.
  /// - Throws: as the other initializer.
  package convenience init(
    byteCount: UInt64, zeroFraction: Double, seed: UInt64
  ) throws(SystemCallError) {
    try self.init(
      SyntheticPattern(byteCount: byteCount, zeroFraction: zeroFraction, seed: seed))
  }

  /// Bytes of memory.
  package var byteCount: UInt64 { pattern.byteCount }
  /// What determines the contents.
  package var seed: UInt64 { pattern.seed }
  /// Pages in the memory.
  package var pageCount: UInt64 { pattern.pageCount }

  /// Whether page `page` is zero.
  func isZero(_ page: UInt64) -> Bool { pattern.isZero(page: page) }

  /// The random bytes of page `page`, before it is stamped: pages that share them are far apart and in no simple pattern.
  private func template(_ page: UInt64) -> UnsafeRawPointer {
    let index = (page &+ (page / arenaPages) &* 127) % arenaPages
    return unsafe UnsafeRawPointer(arena.base + Int(index) * Self.pageBytes)
  }

  /// Makes page `page` in `target`, which has room for it.
  func make(_ page: UInt64, in target: UnsafeMutableRawPointer) {
    guard !isZero(page) else {
      unsafe target.initializeMemory(as: UInt8.self, repeating: 0, count: Self.pageBytes)
      return
    }
    unsafe target.copyMemory(from: template(page), byteCount: Self.pageBytes)
    unsafe target.storeBytes(of: page, as: UInt64.self)
    unsafe target.storeBytes(of: seed, toByteOffset: 8, as: UInt64.self)
  }

  /// Whether the bytes at `source` are those of page `page`.
  func matches(_ page: UInt64, at source: UnsafeRawPointer) -> Bool {
    guard !isZero(page) else {
      return unsafe ZeroScan.isZero(
        UnsafeRawBufferPointer(start: source, count: Self.pageBytes))
    }
    guard unsafe source.load(as: UInt64.self) == page,
      unsafe source.load(fromByteOffset: 8, as: UInt64.self) == seed
    else { return false }
    return unsafe equalBytes(
      source + Self.stampBytes, template(page) + Self.stampBytes,
      count: Self.pageBytes - Self.stampBytes)
  }
}

extension SyntheticGuest: PageSource, CopyingSource {
  /// Made by calls, into the channel's buffer.
  package var readAccess: SourceAccess { .copy(self) }

  /// Fills `target` with the pages at `offset`.
  ///
  /// - Precondition: whole pages.
  package func copy(
    into target: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    let page = Self.firstPage(offset, target.count)
    guard let base = target.baseAddress else { return }
    for index in 0..<(target.count / Self.pageBytes) {
      // SAFETY: the pages lie inside the target.
      unsafe make(page + UInt64(index), in: base + index * Self.pageBytes)
    }
  }

  static func firstPage(_ offset: UInt64, _ count: Int) -> UInt64 {
    precondition(
      offset % UInt64(pageBytes) == 0 && count % pageBytes == 0, "pieces are of whole pages")
    return offset / UInt64(pageBytes)
  }
}
