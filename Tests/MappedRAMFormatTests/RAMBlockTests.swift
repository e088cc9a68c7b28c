import MappedRAMFormat
import Testing

@Suite struct RAMBlockTests {
  private func make(
    _ usedLength: ByteCount, _ pageSize: PageSize = .fourKiB, idstr: String = "pc.ram"
  ) throws(FormatError) -> RAMBlock {
    try RAMBlock(idstr: idstr, usedLength: usedLength, pageSize: pageSize, at: 0x60)
  }

  private func error(_ kind: FormatError.Kind, _ idstr: String = "pc.ram") -> FormatError {
    FormatError(kind, at: 0x60, in: .ramBlock(idstr))
  }

  @Test func countsPagesAndBytesOfTheBitmap() throws {
    for (pages, bytes) in [(1, 8), (63, 8), (64, 8), (65, 16), (131_072, 16384)] {
      let block = try make(ByteCount(pages * 4096))
      #expect(block.pageCount == pages)
      #expect(block.bitmapBytes == ByteCount(bytes))
    }
  }

  @Test func keepsItsParts() throws {
    let block = try RAMBlock(
      idstr: "ram0", usedLength: 0x2000, pageSize: .fourKiB, address: 0x600_0000, isIgnored: true)
    #expect(block.idstr == "ram0")
    #expect(block.usedLength == 0x2000)
    #expect(block.address == 0x600_0000)
    #expect(block.isIgnored)
    #expect(try !make(4096).isIgnored)
    #expect(try make(4096).address == nil)
  }

  @Test func usedLengthIsAMultipleOfThePageSizeFromOnePageOn() throws {
    #expect(throws: error(.usedLengthZero)) { try make(0) }
    for length: UInt64 in [1, 4095, 4097, 6144] {
      #expect(throws: error(.usedLengthUnaligned(found: length, pageSize: .fourKiB))) {
        try make(ByteCount(length))
      }
    }
    let small = try #require(PageSize(byteCount: 1024))
    #expect(try make(ByteCount(UInt64(6144)), small).pageCount == 6)
  }

  @Test func usedLengthIsAtMost64TiB() throws {
    let limit = UInt64(1) << 46
    #expect(try make(ByteCount(limit)).pageCount == 1 << 34)
    for length in [limit + 1, limit + 4096, .max, .max - 4095] {
      #expect(throws: error(.overLimit(.ramBytes, found: length, limit: limit))) {
        try make(ByteCount(length))
      }
    }
  }

  @Test func idstrHas1To255PrintableBytes() throws {
    for name in ["x", String(repeating: "x", count: 255), "0000:00:02.0/vga.vram", " ~"] {
      #expect(try make(4096, idstr: name).idstr == name)
    }
    #expect(throws: error(.nameEmpty, "")) { try make(4096, idstr: "") }
    let long = String(repeating: "x", count: 256)
    #expect(throws: error(.overLimit(.nameBytes, found: 256, limit: 255), long)) {
      try make(4096, idstr: long)
    }
    for name in ["a\nb", "é", "\u{7F}", "\0"] {
      #expect(throws: error(.nameNotPrintable(ascii(name)), name)) { try make(4096, idstr: name) }
    }
  }
}
