import MappedRAM
import MappedRAMFormat

/// Small areas of sums.
enum MadeSums {
  /// Where they stand.
  static let start = FileOffset(0x10_0000)

  static var seeds: [FuzzSeed] {
    do throws(FormatError) {
      return [FuzzSeed("two", try bytes(chunks: [2, 0])), FuzzSeed("none", try bytes(chunks: []))]
    } catch {
      preconditionFailure("blocks that are as they should be: \(error)")
    }
  }

  /// An area of blocks with so many chunks each.
  private static func bytes(chunks: [Int]) throws(FormatError) -> [UInt8] {
    let first = start + ByteCount(AreaHeader.byteCount)
    var entries = ByteOutput(at: first)
    var blocks: [SumsArea.Block] = []
    for (index, count) in chunks.enumerated() {
      let block = try RAMBlock(
        idstr: "ram\(index)", usedLength: ByteCount(3 << 16), pageSize: .fourKiB)
      let place = FileOffset(UInt64(index) << 18)
      for number in 0..<count { ContentSum(of: [UInt8(number)]).encode(into: &entries) }
      blocks.append(
        SumsArea.Block(
          block, bitmap: place..<(place + block.bitmapBytes),
          pages: (place + 4096)..<(place + ByteCount(4096 + 3 << 16)),
          bitmapSum: ContentSum(of: []), entryCount: count, entriesSum: ContentSum(of: [1])))
    }
    let spans = chunks.indices.map { index in
      SumsArea.Span(
        FileOffset(UInt64(index) * 100)..<FileOffset(UInt64(index) * 100 + 7),
        sum: ContentSum(of: [2]))
    }
    let table = SumsArea(
      entries: first..<entries.offset, root: ContentSum(of: [3]), blocks: blocks, spans: spans
    ).encoded(at: entries.offset)
    let header = AreaHeader(
      .sums, version: SumsArea.version, isNeeded: false, range: start..<table.offset,
      table: table)
    return header.encoded.bytes + entries.bytes + table.bytes
  }
}
