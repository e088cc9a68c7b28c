import MappedRAMFormat
import Testing

@Suite struct RAMWordTests {
  private func word(_ value: UInt64) -> RAMWord { RAMWord(rawValue: value) }

  @Test func memorySizeHasTheTotalInItsHighBits() throws {
    let word = RAMWord.memorySize(0x2109_2000)
    #expect(encoded { word.encode(into: &$0) } == [0, 0, 0, 0, 0x21, 0x09, 0x20, 0x04])
    #expect(word.memorySize == 0x2109_2000)
    #expect(!word.isEndOfSection)
  }

  @Test func endOfSectionIs0x10WhateverItsAddress() {
    #expect(encoded { RAMWord.endOfSection.encode(into: &$0) } == [0, 0, 0, 0, 0, 0, 0, 0x10])
    #expect(RAMWord.endOfSection.isEndOfSection)
    #expect(word(0xFFFF_FFFF_FFFF_FC10).isEndOfSection)
    #expect(RAMWord.endOfSection.memorySize == nil)
  }

  @Test(arguments: [0, 0x01, 0x02, 0x08, 0x14, 0x20, 0x24, 0x40, 0x80, 0x104, 0x200, 0x210])
  func otherFlagsAreNeither(_ flags: UInt64) {
    let word = word(0x1000 | flags)
    #expect(word.flags == flags)
    #expect(word.memorySize == nil)
    #expect(!word.isEndOfSection)
  }

  @Test func extremeTotalsAreRead() {
    #expect(word(4).memorySize == .zero)
    #expect(word(.max - 0x3FF | 4).memorySize == ByteCount(UInt64.max - 0x3FF))
  }

  @Test func readsAndWritesItsEightBytes() throws {
    let parser: Parser<RAMWord> = { (input) throws(FormatError) in
      try RAMWord(parsing: &input, in: .ramBlockList)
    }
    try expectRoundTrip([1, 2, 3, 4, 5, 6, 7, 8], parser) { $0.encode(into: &$1) }
    try expectTruncation(of: [1, 2, 3, 4, 5, 6, 7, 8], parser)
    #expect(RAMWord.byteCount == 8)
  }
}
