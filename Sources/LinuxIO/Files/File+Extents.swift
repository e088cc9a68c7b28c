import CLinux
import SystemPackage

extension File {
  /// How `forEachData` finds what is no hole. Anything but `extents` is for tests and measurements.
  package enum DataSearch: Sendable {
    /// With FIEMAP, a thousand extents a call, and with lseek where the file system has no FIEMAP.
    case extents
    /// With lseek alone, two calls for each part.
    case seek
  }

  /// Calls `body` with each part of `range` that may hold something else than zeros, first to last.
  ///
  /// Parts do not overlap, and parts that touch are given as one. What lies outside the parts is a hole, or was allocated
  /// and never written: it reads as zeros for certain. What lies inside may be zeros all the same. A device is one
  /// part. Data that has no blocks yet counts.
  ///
  /// - Complexity: O(extents). 4 GiB with every second page present, 524,288 extents: 0.15 to 0.3 s with FIEMAP, 0.6 to
  ///   0.8 s with lseek (own measurement: ext4, Linux 6.18, files synced).
  /// - Throws: what ioctl and lseek give.
  package func forEachData(
    in range: Range<UInt64>, by search: DataSearch = .extents, _ body: (Range<UInt64>) -> Void
  ) throws(SystemCallError) {
    guard !range.isEmpty else { return }
    var parts = Parts(range)
    let position =
      search == .extents && kind == .regular
      ? try forEachExtent(in: range, &parts, body) : range.lowerBound
    if let position {
      try seekData(in: position..<range.upperBound, &parts, body)
    }
    parts.flush(body)
  }

  /// The parts of a range, of which the last may still grow.
  private struct Parts {
    let range: Range<UInt64>
    var last: Range<UInt64>?

    init(_ range: Range<UInt64>) { self.range = range }

    mutating func add(_ part: Range<UInt64>, _ body: (Range<UInt64>) -> Void) {
      let part = part.clamped(to: range)
      guard !part.isEmpty else { return }
      if let last, part.lowerBound <= last.upperBound {
        self.last = last.lowerBound..<max(last.upperBound, part.upperBound)
      } else {
        flush(body)
        last = part
      }
    }

    mutating func flush(_ body: (Range<UInt64>) -> Void) {
      if let last { body(last) }
      last = nil
    }
  }

  private func seekData(
    in range: Range<UInt64>, _ parts: inout Parts, _ body: (Range<UInt64>) -> Void
  ) throws(SystemCallError) {
    var rest = range
    while let found = try nextData(in: rest) {
      parts.add(found, body)
      rest = found.upperBound..<range.upperBound
    }
  }

  /// Goes through `range` with FIEMAP. Where it had to stop since the file system has none, or `nil` at the end.
  private func forEachExtent(
    in range: Range<UInt64>, _ parts: inout Parts, _ body: (Range<UInt64>) -> Void
  ) throws(SystemCallError) -> UInt64? {
    var extents = [CLinux_Extent](repeating: CLinux_Extent(), count: Int(CLinux_EXTENTS))
    var position = range.lowerBound
    while position < range.upperBound {
      var count: UInt32 = 0
      // SAFETY: there is room for CLinux_EXTENTS, which is the most that is written; nothing is kept.
      let result = unsafe CLinux_extents(
        bufferedDescriptor, position, range.upperBound - position, &extents, &count)
      switch Errno(rawValue: CInt(-result)) {
      case .interrupted: continue
      // What file systems and special mounts give that cannot tell.
      case .notSupportedOnSocket, .inappropriateIOCTLForDevice, .invalidArgument: return position
      default: try check(result, .ioctl, .range(path, range))
      }
      let before = position
      for extent in extents.prefix(Int(count)) {
        let end = extent.offset.addingReportingOverflow(extent.byteCount)
        let found =
          extent.offset..<(end.overflow ? UInt64.max : max(end.partialValue, extent.offset))
        if extent.isUnwritten != 0 {
          // What was written since then and is in memory alone is known to lseek.
          try seekData(in: found.clamped(to: range), &parts, body)
        } else {
          parts.add(found, body)
        }
        position = max(position, found.upperBound)
        if extent.isLast != 0 { return nil }
      }
      if count == 0 { return nil }
      // Extents that do not advance are nonsense; lseek has the last word then.
      guard position > before else { return position }
    }
    return nil
  }
}
