import MappedRAMFormat

extension SectionScanner {
  /// Where the body that begins at `start` ends, if it is that of a VFIO device and nothing else than its records is in it.
  ///
  /// - Complexity: O(records): their data is passed over. All sections together have `ImageLimits.vfioRecords`, as a record may lead to
  ///   any place behind it.
  mutating func endOfVFIOBody(
    _ window: inout ImageWindow, from start: FileOffset
  ) throws(ImageError) -> FileOffset? {
    var offset = start
    while vfioRecordsLeft > 0 {
      vfioRecordsLeft -= 1
      let (record, end) = try window.parse(
        at: offset, atMost: VFIORecord.maximumByteCount
      ) { input in VFIORecord(parsing: &input) }
      switch record {
      case nil: return nil
      case .end, .initialDataSent: return end
      case .setup: offset = end
      case .data(let count):
        guard let next = end.adding(count), next < window.end else { return nil }
        offset = next
      }
    }
    return nil
  }
}
