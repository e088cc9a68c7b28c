import MappedRAMFormat

/// Small streams as a background snapshot sends them: pages in the order in which they are about to change.
enum MadeSentStream {
  /// The blocks that are sent.
  static let blocks: [RAMBlock] = [("a", 4), ("b", 2)].map { idstr, pages in
    guard let pageSize = PageSize(byteCount: 1024) else { preconditionFailure("a page size") }
    do throws(FormatError) {
      return try RAMBlock(
        idstr: idstr, usedLength: ByteCount(pages * 1024), pageSize: pageSize)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  static var seeds: [FuzzSeed] {
    [
      FuzzSeed("footers", stream(hasFooters: true)),
      FuzzSeed("no-footers", stream(hasFooters: false)),
    ]
  }

  private static func stream(hasFooters: Bool) -> [UInt8] {
    var output = ByteOutput()
    StreamHeader().encode(into: &output)
    StreamElement.start(id: 2, .ram).encode(into: &output)
    RAMWord.memorySize(6144).encode(into: &output)
    for block in blocks {
      RAMBlockEntry(idstr: block.idstr, usedLength: block.usedLength).encode(into: &output)
    }
    RAMWord.endOfSection.encode(into: &output)
    for first in [0, 1] as [UInt64] {
      if hasFooters { SectionFooter(id: 2).encode(into: &output) }
      StreamElement.part(id: 2).encode(into: &output)
      RAMRecord.page(offset: first * 1024, idstr: "b").encode(into: &output)
      output.write([UInt8](repeating: 5, count: 1024))
      RAMRecord.flush.encode(into: &output)
      RAMRecord.zero(offset: first * 1024, idstr: "a").encode(into: &output)
      RAMRecord.zero(offset: 3 * 1024, idstr: nil).encode(into: &output)
      RAMWord.endOfSection.encode(into: &output)
    }
    if hasFooters { SectionFooter(id: 2).encode(into: &output) }
    StreamElement.full(
      id: 1, SectionIdentity(idstr: "x", instanceID: 0, version: 1)
    ).encode(into: &output)
    output.write([1, 2, 3])
    return output.bytes
  }
}
