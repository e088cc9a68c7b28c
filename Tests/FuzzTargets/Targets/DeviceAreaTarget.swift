import MappedRAMFormat

/// The area of devices' states, from its header at place 0 on.
///
/// The sum is set right first: no random change would ever get past it.
enum DeviceAreaTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    let fileEnd = FileOffset(UInt64(bytes.count))
    // As it stands.
    _ = try read(bytes, fileEnd)
    var mended = bytes
    let header: DeviceAreaHeader
    do throws(FormatError) {
      var input = ByteInput(bytes.span)
      header = try DeviceAreaHeader(parsing: &input, fileEnd: fileEnd)
    } catch {
      _ = error.description
      return false
    }
    let table = Int(header.table.lowerBound.rawValue)..<Int(header.table.upperBound.rawValue)
    mended.replaceSubrange(8 + 4..<16, with: [0, 0, 0, 0])
    let sum = Self.sum(of: Array(mended[..<DeviceAreaHeader.byteCount] + mended[table]))
    mended.replaceSubrange(
      12..<16, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * $0)) })
    guard let area = try read(mended, fileEnd) else { return false }
    try check(area, mended)
    return true
  }

  /// The area in `bytes`, if it is right.
  private static func read(
    _ bytes: [UInt8], _ fileEnd: FileOffset
  ) throws(Finding) -> DeviceArea? {
    do throws(FormatError) {
      var input = ByteInput(bytes.span)
      guard DeviceAreaHeader.isPresent(at: input) else { return nil }
      let header = try DeviceAreaHeader(parsing: &input, fileEnd: fileEnd)
      let rest = header.table.lowerBound.rawValue..<header.end.rawValue
      let table = Array(bytes[Int(rest.lowerBound)..<Int(rest.upperBound)])
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
    var end = UInt64(DeviceAreaHeader.byteCount)
    for buffer in buffers {
      try require(buffer.offset.rawValue >= end, "buffers overlap")
      end = buffer.offset.rawValue + buffer.byteCount.rawValue
    }
    try require(end <= area.table.rawValue, "a buffer is not in front of the table")
  }

  /// CRC-32C, bit by bit: a second opinion.
  private static func sum(of bytes: [UInt8]) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0x82F6_3B78 : 0) }
    }
    return ~sum
  }
}
