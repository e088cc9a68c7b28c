import MappedRAMFormat

/// The area of devices' states, from its header at place 0 on.
///
/// The sums are set right first: no random change would ever get past them.
enum DeviceAreaTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    // As it stands.
    _ = try read(bytes)
    guard let mended = AreaSums.mended(bytes) else { return false }
    guard let area = try read(mended) else { return false }
    try check(area, mended)
    return true
  }

  /// The area in `bytes`, if it is right.
  private static func read(_ bytes: [UInt8]) throws(Finding) -> DeviceArea? {
    let header: AreaHeader
    do throws(FormatError) {
      var input = ByteInput(bytes.span)
      guard AreaHeader.isPresent(at: input) else { return nil }
      header = try AreaHeader(parsing: &input, fileEnd: FileOffset(UInt64(bytes.count)))
    } catch {
      _ = error.description
      return nil
    }
    try require(
      header.encoded.bytes == Array(bytes[..<AreaHeader.byteCount]),
      "the header is not what it was read as")
    do throws(FormatError) {
      guard header.kind == .devices, header.version == DeviceArea.version, header.isNeeded else {
        return nil
      }
      try DeviceArea.check(header)
      let table = Array(
        bytes[Int(header.table.lowerBound.rawValue)..<Int(header.table.upperBound.rawValue)])
      var tableInput = ByteInput(table.span, at: header.table.lowerBound)
      return try DeviceArea(header: header, parsing: &tableInput)
    } catch {
      _ = error.description
      return nil
    }
  }

  /// What was understood of the area makes the same area, and its buffers lie inside it, apart.
  private static func check(_ area: DeviceArea, _ bytes: [UInt8]) throws(Finding) {
    let (header, table) = area.encoded()
    try require(bytes.starts(with: header.bytes), "the header is not what it was read as")
    let place = Int(area.table.rawValue)
    try require(
      Array(bytes[place..<place + table.bytes.count]) == table.bytes,
      "the table is not what it was read as")
    try require(area.end.rawValue == UInt64(place + table.bytes.count), "the end")
    try require(area.firstPlace >= area.start, "the first place")
    let buffers = area.devices.flatMap(\.buffers).filter { $0.byteCount > .zero }
      .sorted { $0.offset < $1.offset }
    var end = UInt64(AreaHeader.byteCount)
    for buffer in buffers {
      try require(buffer.offset.rawValue >= end, "buffers overlap")
      end = buffer.offset.rawValue + buffer.byteCount.rawValue
    }
    try require(end <= area.table.rawValue, "a buffer is not in front of the table")
  }
}
