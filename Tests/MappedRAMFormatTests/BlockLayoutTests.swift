import MappedRAMFormat
import Testing

@Suite struct BlockLayoutTests {
  let block: RAMBlock

  init() throws {
    // 65 pages: a bitmap of 16 bytes.
    block = try RAMBlock(idstr: "ram0", usedLength: 0x4_1000, pageSize: .fourKiB)
  }

  private func error(_ kind: FormatError.Kind, at offset: FileOffset) -> FormatError {
    FormatError(kind, at: offset, in: .mappedRAMHeader("ram0"))
  }

  @Test func bitmapFollowsTheHeaderAndPagesBeginAtTheNextMiB() throws {
    let layout = try BlockLayout(of: block, entry: 0x60, headerEnd: 0x80)
    #expect(layout.entry == 0x60)
    #expect(layout.bitmap == 0x80..<0x90)
    #expect(layout.pages == 0x10_0000..<0x14_1000)
    #expect(layout.end == 0x14_1000)
    #expect(
      layout.header(pageSize: .fourKiB)
        == MappedRAMHeader(pageSize: .fourKiB, bitmapOffset: 0x80, pagesOffset: 0x10_0000))
  }

  @Test(arguments: [(0xF_FFF0, 0x10_0000), (0xF_FFF1, 0x20_0000), (0x10_0000, 0x20_0000)])
  func bitmapMayEndJustAtTheMiB(_ headerEnd: UInt64, _ pages: UInt64) throws {
    let layout = try BlockLayout(of: block, entry: 0, headerEnd: FileOffset(headerEnd))
    #expect(layout.pages?.lowerBound == FileOffset(pages))
  }

  @Test func ignoredBlockHasNeitherBitmapNorPages() throws {
    let block = try RAMBlock(
      idstr: "ram0", usedLength: 4096, pageSize: .fourKiB, address: 0, isIgnored: true)
    let layout = try BlockLayout(of: block, entry: 0x60, headerEnd: 0x90)
    #expect(layout.bitmap == nil)
    #expect(layout.pages == nil)
    #expect(layout.end == 0x90)
    #expect(layout.header(pageSize: .fourKiB).isIgnored)
  }

  @Test func anyMultipleOfThePageSizeBehindTheBitmapWillDoForAReader() throws {
    for offset: FileOffset in [0x1000, 0x10_0000, 0x20_0000, 0x12_3000] {
      let layout = try BlockLayout(of: block, entry: 0x60, headerEnd: 0x80, pagesOffset: offset)
      #expect(layout.pages?.lowerBound == offset)
      #expect(layout.end == offset + 0x4_1000)
    }
    let tight = try BlockLayout(of: block, entry: 0xFD0, headerEnd: 0xFF0, pagesOffset: 0x1000)
    #expect(tight.bitmap?.upperBound == tight.pages?.lowerBound)
  }

  @Test func pagesInTheBitmapAreRefused() {
    for offset: FileOffset in [0, 0x1000] {
      #expect(
        throws: error(.pagesBeforeBitmapEnd(found: offset, bitmapEnd: 0x1001), at: 0xFE9)
      ) {
        try BlockLayout(of: block, entry: 0xFC0, headerEnd: 0xFF1, pagesOffset: offset)
      }
    }
  }

  @Test func pagesThatAreNotAlignedAreRefused() {
    for offset: FileOffset in [0x1001, 0x10_0200, FileOffset(.max)] {
      #expect(
        throws: error(.pagesUnaligned(found: offset, alignment: .fourKiB), at: 0x78)
      ) {
        try BlockLayout(of: block, entry: 0x60, headerEnd: 0x80, pagesOffset: offset)
      }
    }
  }

  @Test func sumsPast64BitsAreRefused() {
    let last = FileOffset(UInt64.max & ~0xFFF)
    for headerEnd in [FileOffset(.max), FileOffset(.max - 15), last] {
      #expect(throws: error(.numberOverflow, at: 0x60)) {
        try BlockLayout(of: block, entry: 0x60, headerEnd: headerEnd)
      }
    }
    #expect(throws: error(.numberOverflow, at: 0x60)) {
      try BlockLayout(of: block, entry: 0x60, headerEnd: 0x80, pagesOffset: last)
    }
  }
}
