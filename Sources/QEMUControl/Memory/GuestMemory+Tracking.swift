import LinuxIO
import MappedRAM

extension GuestMemory {
  /// What tells for blocks, by idstr, which pages are written to from now on; empty where the kernel cannot tell.
  ///
  /// Only of private memory without a file: shared memory can be written to by other processes, whose writes it does not see.
  func changeTracking() -> [String: any ChangeTracking] {
    guard let pageMap else { return [:] }
    let tracked = places.filter { $0.backing == .anonymous && !$0.hasHugePages }
    guard !tracked.isEmpty else { return [:] }
    do throws(SystemCallError) {
      guard try SoftDirty.isAvailable() else { return [:] }
      try SoftDirty.clear(processID)
    } catch {
      // Without the right to do so hashes find all.
      return [:]
    }
    var tracking: [String: any ChangeTracking] = [:]
    for place in tracked {
      tracking[place.block.idstr] = SoftDirtyTracking(pageMap, at: place.block.hostAddress)
    }
    return tracking
  }
}
