import LinuxIO
import LinuxProcesses
import MappedRAMFormat

extension GuestMemory {
  /// Each block with what stands behind it and how much of it there is.
  func inspected(
    backend: (GuestBlock) -> MemoryBackend?
  ) -> [VMInspection.Block] {
    zip(places, blocks).map { place, memory in
      let present = presentBytes(of: place)
      let length = place.block.usedLength.rawValue
      return VMInspection.Block(
        place.block, backend: backend(place.block), backing: place.backing, route: memory.route,
        presentBytes: present,
        savedBytesAtMost: absentIsZero(place, memory.route) ? present ?? length : length)
    }
  }

  /// Whether a save does not even look at what is absent. Of a private mapping of a file, and of huge pages, it looks at all.
  private func absentIsZero(_ place: Place, _ route: BlockMemory.Route) -> Bool {
    switch route {
    case .file: !place.hasHugePages
    case .process: place.backing == .anonymous
    }
  }

  /// Bytes of the block that are in memory, in swap or, for a shared file, in the file.
  private func presentBytes(of place: Place) -> UInt64? {
    var count: UInt64 = 0
    do {
      // The holes of a file of huge pages are not found.
      if !place.hasHugePages, let found = place.file {
        let range = found.offset..<(found.offset + place.block.usedLength.rawValue)
        try found.file.forEachData(in: range) { count += UInt64($0.count) }
        return count
      }
      guard let pageMap else { return nil }
      var rest = place.addresses
      while !rest.isEmpty, let run = try pageMap.nextPresent(in: rest) {
        count += UInt64(run.count)
        rest = run.upperBound..<rest.upperBound
      }
      return count
    } catch {
      return nil
    }
  }
}
