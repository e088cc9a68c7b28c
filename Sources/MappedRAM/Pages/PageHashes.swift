import LinuxIO
import MappedRAMFormat

/// The hashes of a block's pages. Channels fill it at places that do not overlap; a sync lies between two rounds.
///
/// Memory comes as it is touched: of pages that are never hashed there is none.
@safe
final class PageHashes: @unchecked Sendable {
  // @unchecked Sendable: each page has one owner at a time, as in `SharedBitmap`.
  private let memory: Mapping
  private let hashes: UnsafeMutableBufferPointer<ContentSum>

  /// Room for the hashes of `pageCount` pages, at least one.
  ///
  /// - Throws: where there is not as much memory.
  init(pageCount: Int) throws(SystemCallError) {
    memory = try Mapping(anonymousByteCount: pageCount * MemoryLayout<ContentSum>.stride)
    // SAFETY: zeros are a hash, the mapping begins at a page boundary, and lives as long as this.
    unsafe hashes = memory.mutableBytes.bindMemory(to: ContentSum.self)
  }

  /// Bytes of memory for all of them.
  var byteCount: Int { memory.byteCount }

  /// The hash that is remembered for `page`.
  func hash(of page: Int) -> ContentSum {
    precondition(unsafe hashes.indices.contains(page), "no such page")
    return unsafe hashes[page]
  }

  /// Remembers `hash` for `page`. Returns whether it was another one before.
  func update(_ page: Int, to hash: ContentSum) -> Bool {
    precondition(unsafe hashes.indices.contains(page), "no such page")
    guard unsafe hashes[page] != hash else { return false }
    unsafe hashes[page] = hash
    return true
  }
}
