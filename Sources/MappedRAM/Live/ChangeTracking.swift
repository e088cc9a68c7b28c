public import LinuxIO

/// Tells what of a block's memory may have changed since the tracking began, so that rounds need to read only that.
///
/// It says too much rather than too little: a round finds by its hash whether a page has changed. Without it a round reads all.
public protocol ChangeTracking: Sendable {
  /// The first part of `range`, from the block's first byte, that may have changed; `nil` where there is none. What is not in
  /// memory, like what was never touched or was given back, counts as changed.
  func nextChanged(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>?
}

/// Changes of private memory of another process, as the kernel's soft-dirty bits tell them.
public struct SoftDirtyTracking: ChangeTracking {
  private let pageMap: PageMap
  private let address: UInt64

  /// The changes of the memory from `address` on, in the process of `pageMap`, since its bits were cleared
  /// (`SoftDirty.clear`).
  ///
  /// Only for private memory without a file, of small pages: bits of a shared page tell what this process wrote and no other,
  /// and huge pages of hugetlbfs have none.
  public init(_ pageMap: PageMap, at address: UInt64) {
    self.pageMap = pageMap
    self.address = address
  }

  /// The first part of `range` that was written to, or is not there.
  public func nextChanged(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    guard !range.isEmpty else { return nil }
    let addresses = (address + range.lowerBound)..<(address + range.upperBound)
    guard let found = try pageMap.nextSoftDirty(in: addresses) else { return nil }
    return (found.lowerBound - address)..<(found.upperBound - address)
  }
}

/// How a live save finds what has changed.
public enum TrackingMethod: String, Equatable, Sendable {
  /// Every round reads all memory and compares hashes.
  case hashing
  /// Rounds read what the kernel's soft-dirty bits name.
  case softDirty = "soft-dirty"
}
