import MappedRAMFormat
import Testing

@Suite struct PageSizeTests {
  @Test(arguments: 10...16) func powersOfTwoFrom1To64KiBArePageSizes(_ shift: Int) throws {
    let size = try #require(PageSize(byteCount: 1 << UInt64(shift)))
    #expect(size.shift == shift)
    #expect(size.byteCount == 1 << shift)
    #expect(size.bytes(inPages: 3) == 3 << shift)
    #expect(size.description == String(1 << shift))
  }

  @Test(
    arguments: [
      0, 1, 2, 512, 1023, 1025, 4095, 4097, 6144, 65535, 65537, 131_072, 1 << 32, 1 << 63, .max,
    ] as [UInt64])
  func nothingElseIs(_ byteCount: UInt64) {
    #expect(PageSize(byteCount: byteCount) == nil)
  }

  @Test func countsWholePages() {
    #expect(PageSize.fourKiB.pages(in: 0) == 0)
    #expect(PageSize.fourKiB.pages(in: 4095) == nil)
    #expect(PageSize.fourKiB.pages(in: 4096) == 1)
    #expect(PageSize.fourKiB.pages(in: 4097) == nil)
    #expect(PageSize.fourKiB.pages(in: ByteCount(UInt64.max - 4095)) == 1 << 52 - 1)
  }
}
