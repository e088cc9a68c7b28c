public import LinuxIO
import MappedRAMFormat

/// A guest that never ran: memory of any size whose every page can be told from every other, and needs no room.
///
/// For measuring and testing the engine. A page is either zero or a page of random bytes out of a small arena that is stamped with its
/// number and the seed, so a page that is lost, stale or misplaced is found. Equal parameters make equal memory.
@safe
public final class SyntheticGuest: @unchecked Sendable {
  // @unchecked Sendable: nothing changes after init.

  /// Bytes of memory.
  public let byteCount: UInt64
  /// What determines the contents.
  public let seed: UInt64
  /// Bytes in a page.
  static let pageBytes = PageSize.fourKiB.byteCount

  /// The most random bytes: more than processors cache, so that copying them costs what a guest's memory would.
  private static let arenaBytes = 64 << 20
  /// Zero pages come in runs of so many, as in real guests.
  static let runPages: UInt64 = 16
  private static let stampBytes = 16

  private let arena: AlignedBuffer
  private let arenaPages: UInt64
  private let zeroFraction: Double

  /// A guest of `byteCount` bytes.
  ///
  /// - Parameter zeroFraction: how many of the pages are zero, 0 to 1: a run of 16 pages is zero with this probability.
  /// - Precondition: `byteCount` is a positive multiple of 4096.
  /// - Throws: where there is no memory for the arena, 64 MiB at most.
  public init(byteCount: UInt64, zeroFraction: Double, seed: UInt64) throws(SystemCallError) {
    precondition(byteCount > 0 && byteCount % UInt64(Self.pageBytes) == 0, "whole pages")
    precondition((0...1).contains(zeroFraction), "a fraction")
    self.byteCount = byteCount
    self.seed = seed
    self.zeroFraction = zeroFraction
    arena = try AlignedBuffer(byteCount: Int(min(UInt64(Self.arenaBytes), byteCount)))
    arenaPages = UInt64(arena.byteCount / Self.pageBytes)
    var state = seed
    for offset in stride(from: 0, to: arena.byteCount, by: 8) {
      // SAFETY: the arena is whole pages, so a word fits at each step.
      unsafe arena.base.storeBytes(of: Self.nextWord(&state), toByteOffset: offset, as: UInt64.self)
    }
  }

  /// Pages in the memory.
  public var pageCount: UInt64 { byteCount / UInt64(Self.pageBytes) }

  /// Whether page `page` is zero.
  func isZero(_ page: UInt64) -> Bool {
    var state = seed ^ (page / Self.runPages &+ 1) &* 0xD6E8_FEB8_6659_FD93
    // 53 bits, as many as a Double has: a number from 0 to below 1.
    return Double(Self.nextWord(&state) >> 11) * 0x1p-53 < zeroFraction
  }

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

  /// Steele, Lea and Flood's SplitMix64.
  private static func nextWord(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
}

extension SyntheticGuest: PageSource, CopyingSource {
  /// Made by calls, into the channel's buffer.
  public var readAccess: SourceAccess { .copy(self) }

  /// Fills `target` with the pages at `offset`.
  ///
  /// - Precondition: whole pages.
  public func copy(
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
