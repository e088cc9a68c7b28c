import MappedRAMFormat
import TestSupport
import Testing

@Suite struct PageBitmapCodingTests {
  private func parser(_ pageCount: Int) -> Parser<PageBitmap.Parsed> {
    { (input) throws(FormatError) in
      try PageBitmap.parse(&input, pageCount: pageCount, of: "pc.ram")
    }
  }

  @Test func pageIIsBitIMod8OfByteIDiv8() throws {
    for page in 0..<130 {
      var bytes = [UInt8](repeating: 0, count: 24)
      bytes[page / 8] = 1 << UInt8(page % 8)
      let parsed = try parse(bytes, parser(130))
      #expect(PageBitmapTests.pages(parsed.bitmap) == [page])
      #expect(parsed.strayBits == 0)
    }
  }

  @Test(arguments: [1, 12, 63, 64, 65, 128, 129]) func readsWhatItWrites(_ count: Int) throws {
    var random = SeededGenerator()
    let bitmap = PageBitmapTests.make(
      count, (0..<count).filter { _ in Bool.random(using: &random) })
    let bytes = encoded { bitmap.encode(into: &$0) }
    #expect(bytes.count == (count + 63) / 64 * 8)
    #expect(try parse(bytes, parser(count)).bitmap == bitmap)
    try expectRoundTrip(bytes, parser(count)) { $0.bitmap.encode(into: &$1) }
  }

  @Test(arguments: [(1, 63), (12, 52), (63, 1), (64, 0), (65, 63)])
  func strayBitsAreCountedAndDropped(_ count: Int, _ stray: Int) throws {
    let bytes = [UInt8](repeating: 0xFF, count: (count + 63) / 64 * 8)
    let parsed = try parse(bytes, parser(count))
    #expect(parsed.strayBits == stray)
    #expect(parsed.bitmap == PageBitmapTests.make(count, 0..<count))
  }

  @Test(arguments: [1, 64, 65]) func everyPrefixIsCutOff(_ count: Int) throws {
    try expectTruncation(
      of: [UInt8](repeating: 0xFF, count: (count + 63) / 64 * 8), parser(count))
  }

  @Test func enormousBitmapIsRefusedWithoutAllocation() throws {
    let error = try failure([0, 0], parser(1 << 36))
    #expect(
      error
        == FormatError(
          .truncated(needed: 0x2_0000_0000, available: 2), at: 0, in: .pageBitmap("pc.ram")))
  }

  @Test func noPagesHaveNoBytes() throws {
    #expect(try parse([], parser(0)).bitmap == PageBitmap(pageCount: 0))
  }
}
