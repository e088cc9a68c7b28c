import MappedRAMFormat
import Testing

@Suite struct SlotLayoutTests {
  static let mebibyte: UInt64 = 1 << 20

  /// The place of a block of `byteCount`, whose header ends at `headerEnd`.
  private func place(
    _ byteCount: UInt64, headerEnd: UInt64 = 0x80, pageSize: PageSize = .fourKiB,
    _ slots: SlotLayout = .hugePages
  ) throws -> BlockLayout {
    try BlockLayout(
      of: RAMBlock(idstr: "ram0", usedLength: ByteCount(byteCount), pageSize: pageSize),
      entry: 0, headerEnd: FileOffset(headerEnd), slots: slots)
  }

  private func start(_ layout: BlockLayout) -> UInt64? { layout.pages?.lowerBound.rawValue }

  @Test func theNamesAreThoseOfTheCommand() {
    #expect(SlotLayout.allCases.map(\.rawValue) == ["1M", "2M"])
  }

  /// One page, the last size into which no huge page fits, the first into which one does, and sizes that are no multiple.
  @Test(
    arguments: [
      (4096, 1), (0x1F_F000, 1), (0x20_0000, 2), (0x20_1000, 2), (0x3F_F000, 2), (0x40_0000, 2),
      (0x1_0000_0000, 2),
    ] as [(UInt64, UInt64)])
  func aBlockBeginsAtAMultipleOfAHugePageIfOneFitsIntoIt(
    byteCount: UInt64, mebibytes: UInt64
  ) throws {
    let layout = try place(byteCount)
    #expect(start(layout) == mebibytes * Self.mebibyte)
    #expect(layout.fitsHugePages == (mebibytes == 2))
    #expect(start(try place(byteCount, .qemu)) == Self.mebibyte)
    #expect(try !place(byteCount, .qemu).fitsHugePages)
  }

  @Test(
    arguments: [
      (0x1F_FFF8, 0x20_0000), (0x1F_FFF9, 0x40_0000), (0x20_0000, 0x40_0000), (0x80, 0x20_0000),
      (0xF_FFF8, 0x20_0000), (0xF_FFF9, 0x20_0000),
    ] as [(UInt64, UInt64)])
  func theBitmapMayEndJustAtTheMultiple(headerEnd: UInt64, pages: UInt64) throws {
    // 512 pages of 4 KiB: a bitmap of 64 bytes. With 64 KiB, 32 pages and 8 bytes.
    let large = try #require(PageSize(byteCount: 65536))
    #expect(start(try place(0x20_0000, headerEnd: headerEnd, pageSize: large)) == pages)
    let byMore = headerEnd - min(headerEnd, 56)
    #expect(start(try place(0x20_0000, headerEnd: byMore)) == pages)
  }

  @Test func sumsPast64BitsAreRefused() throws {
    let end = UInt64.max - 0x20_0000
    #expect(throws: FormatError(.numberOverflow, at: 0, in: .mappedRAMHeader("ram0"))) {
      try place(0x20_0000, headerEnd: end)
    }
  }

  /// A reader gets the layout back from where blocks are, and QEMU's where both are the same.
  @Test func theLayoutIsFoundAgain() throws {
    let sizes: [UInt64] = [0x80_0000, 0x1000, 0x20_0000, 0x2_0000]
    for slots in SlotLayout.allCases {
      var next: UInt64 = 0x40
      let blocks = try sizes.map { size in
        let layout = try place(size, headerEnd: next + 0x40, slots)
        next = layout.end.rawValue
        return layout
      }
      #expect(SlotLayout(of: blocks) == slots)
      // The small ones are where QEMU has them.
      #expect(SlotLayout(of: [blocks[1], blocks[3]]) == .qemu)
    }
    #expect(SlotLayout(of: [try place(0x1000)]) == .qemu)
    #expect(SlotLayout(of: [try place(0x20_0000, headerEnd: 0x10_0040)]) == .qemu)
    #expect(SlotLayout(of: []) == .qemu)
  }

  @Test func pagesElsewhereAreInNoLayout() throws {
    let block = try RAMBlock(idstr: "ram0", usedLength: 0x20_0000, pageSize: .fourKiB)
    for offset: FileOffset in [0x1000, 0x30_0000, 0x40_0000] {
      let layout = try BlockLayout(of: block, entry: 0, headerEnd: 0x80, pagesOffset: offset)
      #expect(SlotLayout(of: [layout]) == nil)
      #expect(layout.fitsHugePages == (offset == 0x40_0000))
    }
  }

  @Test func blocksThatAreLeftOutAreInEither() throws {
    let block = try RAMBlock(
      idstr: "ram0", usedLength: 0x20_0000, pageSize: .fourKiB, address: 0, isIgnored: true)
    let layout = try BlockLayout(of: block, entry: 0, headerEnd: 0x80, slots: .hugePages)
    #expect(SlotLayout(of: [layout]) == .qemu && !layout.fitsHugePages)
  }
}
