import LinuxIO
/// What stands behind a range of a process's addresses.
package enum MemoryBacking: Equatable, Sendable {
  /// Private memory without a file: what was never touched is zero.
  case anonymous
  /// A shared file, a memfd among them, with its first byte at `offset`.
  case sharedFile(MappedFileIdentity, offset: UInt64, path: String)
  /// A private mapping of a file: what was never written has the file's bytes.
  case privateFile(MappedFileIdentity, offset: UInt64, path: String)
  /// Several of these.
  case mixed

  /// The file behind it, if there is one.
  package var file: MappedFileIdentity? {
    switch self {
    case .sharedFile(let file, _, _), .privateFile(let file, _, _): file
    case .anonymous, .mixed: nil
    }
  }

  /// What stands behind `range`, by the `maps` of the process; `nil` where it has nothing at some of the addresses.
  package init?(of range: Range<UInt64>, in maps: [MemoryMap]) {
    var position = range.lowerBound
    var found: MemoryBacking?
    for map in maps where map.addresses.upperBound > position {
      guard map.addresses.lowerBound <= position else { return nil }
      let skipped = position - map.addresses.lowerBound
      var here = MemoryBacking(map, skipping: skipped)
      if case .some(let before) = found {
        here = before.continued(by: here, after: position - range.lowerBound)
      }
      found = here
      position = map.addresses.upperBound
      if position >= range.upperBound { break }
    }
    guard position >= range.upperBound, let found else { return nil }
    self = found
  }

  private init(_ map: MemoryMap, skipping skipped: UInt64) {
    let offset = map.fileOffset &+ skipped
    switch (map.inode.number, map.isShared) {
    case (0, false): self = .anonymous
    case (_, true): self = .sharedFile(map.inode, offset: offset, path: map.path)
    case (_, false): self = .privateFile(map.inode, offset: offset, path: map.path)
    }
  }

  /// This, where `next` stands behind what follows `distance` bytes after its first one.
  private func continued(by next: MemoryBacking, after distance: UInt64) -> MemoryBacking {
    switch (self, next) {
    case (.anonymous, .anonymous): self
    case (.sharedFile(let inode, let offset, _), .sharedFile(let other, let place, _))
    where inode == other && place.subtractingReportingOverflow(offset) == (distance, false):
      self
    case (.privateFile(let inode, let offset, _), .privateFile(let other, let place, _))
    where inode == other && place.subtractingReportingOverflow(offset) == (distance, false):
      self
    default: .mixed
    }
  }
}
