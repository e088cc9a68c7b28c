import CXXHash
import LinuxIO

/// A strong hash of a page's bytes: 128 bits of XXH3, at the speed of memory.
///
/// Not for secrets: who chooses the bytes on purpose can make two pages with one hash. A guest that does so spoils its own image
/// alone. By chance it happens to two of 2^32 pages once in 2^64 times.
struct PageHash: Equatable, Sendable {
  var low: UInt64
  var high: UInt64

  /// Bytes of a hash.
  static let byteCount = 16

  /// A hash of its parts.
  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// The hash of `bytes`.
  ///
  /// - Complexity: O(bytes).
  init(of bytes: UnsafeRawBufferPointer) {
    // SAFETY: the bytes are the buffer's own, and are not kept.
    let hash = unsafe CXXHash_hash(bytes.baseAddress, bytes.count)
    low = hash.low64
    high = hash.high64
  }
}

/// The hashes of a block's pages. Channels fill it at places that do not overlap; a sync lies between two rounds.
///
/// Memory comes as it is touched: of pages that are never hashed there is none.
@safe
final class PageHashes: @unchecked Sendable {
  // @unchecked Sendable: each page has one owner at a time, as in `SharedBitmap`.
  private let memory: Mapping
  private let hashes: UnsafeMutableBufferPointer<PageHash>

  /// Room for the hashes of `pageCount` pages, at least one.
  ///
  /// - Throws: where there is not as much memory.
  init(pageCount: Int) throws(SystemCallError) {
    memory = try Mapping(anonymousByteCount: pageCount * PageHash.byteCount)
    // SAFETY: zeros are a hash, the mapping begins at a page boundary, and lives as long as this.
    unsafe hashes = memory.mutableBytes.bindMemory(to: PageHash.self)
  }

  /// Bytes of memory for all of them.
  var byteCount: Int { memory.byteCount }

  /// The hash that is remembered for `page`.
  func hash(of page: Int) -> PageHash {
    precondition(unsafe hashes.indices.contains(page), "no such page")
    return unsafe hashes[page]
  }

  /// Remembers `hash` for `page`. Returns whether it was another one before.
  func update(_ page: Int, to hash: PageHash) -> Bool {
    precondition(unsafe hashes.indices.contains(page), "no such page")
    guard unsafe hashes[page] != hash else { return false }
    unsafe hashes[page] = hash
    return true
  }
}
