import MappedRAMFormat

/// The area of an image's sums, from its header at the start of the areas on; what is before it is zeros.
///
/// The checksums are set right first: no random change would ever get past them.
enum SumsTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    _ = try read(bytes)
    guard let mended = AreaSums.mended(bytes) else { return false }
    guard let (header, sums) = try read(mended) else { return false }
    try check(sums, header, mended)
    return true
  }

  private static func read(
    _ bytes: [UInt8]
  ) throws(Finding) -> (header: AreaHeader, sums: SumsArea)? {
    do throws(FormatError) {
      var input = ByteInput(bytes.span, at: MadeSums.start)
      let header = try AreaHeader(
        parsing: &input, fileEnd: MadeSums.start + ByteCount(bytes.count))
      guard header.kind == .sums, header.version == SumsArea.version else { return nil }
      try SumsArea.check(header)
      let first = Int((header.table.lowerBound - MadeSums.start).rawValue)
      let table = Array(bytes[first..<first + Int(header.table.byteCount.rawValue)])
      var tableInput = ByteInput(table.span, at: header.table.lowerBound)
      return (header, try SumsArea(header: header, parsing: &tableInput))
    } catch {
      _ = error.description
      return nil
    }
  }

  /// What was understood makes the same table, and all places are before the areas, or in this one.
  private static func check(
    _ sums: SumsArea, _ header: AreaHeader, _ bytes: [UInt8]
  ) throws(Finding) {
    let table = sums.encoded(at: header.table.lowerBound)
    let first = Int((header.table.lowerBound - MadeSums.start).rawValue)
    try require(
      Array(bytes[first..<first + Int(header.table.byteCount.rawValue)]) == table.bytes,
      "the table is not what it was read as")
    try require(
      sums.entries.lowerBound >= header.end
        && sums.entries.upperBound <= header.table.lowerBound,
      "entries lie in the area")
    var last = FileOffset.zero
    for span in sums.spans {
      try require(span.range.lowerBound >= last, "spans follow one another")
      last = span.range.upperBound
    }
    try require(last <= header.range.lowerBound, "spans lie before the area")
    var entries = 0
    for block in sums.blocks {
      entries += block.entryCount
      try require(block.entryCount <= SumsArea.chunkCount(of: block.block), "an entry a chunk")
      try require(
        block.bitmap.upperBound <= header.range.lowerBound
          && block.pages.upperBound <= header.range.lowerBound, "blocks lie before the area")
    }
    try require(
      sums.entries.byteCount == ByteCount(entries * ContentSum.byteCount), "the sum of entries")
  }
}

/// Sets the checksums of an area right.
enum AreaSums {
  /// `bytes`, which begin with a header, with checksums that fit; `nil` for fewer bytes than a header has.
  static func mended(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.count >= AreaHeader.byteCount else { return nil }
    var mended = bytes
    let start = number(bytes, at: 16)
    let (first, isBefore) = number(bytes, at: 32).subtractingReportingOverflow(start)
    let (end, overflows) = first.addingReportingOverflow(number(bytes, at: 40))
    if !isBefore, !overflows, first <= end, end <= UInt64(bytes.count) {
      let sum = sum(of: bytes[Int(first)..<Int(end)])
      mended.replaceSubrange(48..<52, with: bigEndian(sum))
    }
    mended.replaceSubrange(12..<16, with: [0, 0, 0, 0])
    let sum = sum(of: mended[..<AreaHeader.byteCount])
    mended.replaceSubrange(12..<16, with: bigEndian(sum))
    return mended
  }

  private static func number(_ bytes: [UInt8], at place: Int) -> UInt64 {
    bytes[place..<(place + 8)].reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }

  /// CRC-32C, bit by bit: a second opinion.
  private static func sum(of bytes: ArraySlice<UInt8>) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0x82F6_3B78 : 0) }
    }
    return ~sum
  }
}
