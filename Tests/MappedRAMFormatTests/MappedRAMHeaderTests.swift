import MappedRAMFormat
import Testing

@Suite struct MappedRAMHeaderTests {
  let parser: Parser<MappedRAMHeader> = { (input) throws(FormatError) in
    try MappedRAMHeader(parsing: &input, of: "pc.ram")
  }
  /// The header of the example in QEMU's own bytes: a q35 with 512 MiB.
  let bytes: [UInt8] = [
    0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0x8B, 0, 0, 0, 0, 0, 0x10, 0, 0,
  ]

  private func replacing(_ offset: Int, _ field: [UInt8]) -> [UInt8] {
    Array(bytes[..<offset]) + field + bytes[(offset + field.count)...]
  }

  @Test func readsTheFieldsAtTheirPlaces() throws {
    let header = try parse(bytes, parser)
    #expect(
      header == MappedRAMHeader(pageSize: .fourKiB, bitmapOffset: 139, pagesOffset: 0x10_0000))
    #expect(!header.isIgnored)
    #expect(bytes.count == MappedRAMHeader.byteCount)
    try expectRoundTrip(bytes, parser) { $0.encode(into: &$1) }
  }

  @Test func everyPrefixIsCutOff() throws { try expectTruncation(of: bytes, parser) }

  @Test(arguments: [0, 2, .max] as [UInt32]) func otherVersionsAreRefused(_ version: UInt32) throws
  {
    #expect(
      try failure(replacing(0, be(version)), at: 0x20, parser)
        == FormatError(
          .mappedRAMVersion(found: version), at: 0x20, in: .mappedRAMHeader("pc.ram")))
  }

  @Test(arguments: [0, 1, 512, 1023, 4097, 131_072, .max] as [UInt64])
  func oddPageSizesAreRefused(_ size: UInt64) throws {
    #expect(
      try failure(replacing(4, be(size)), at: 0x20, parser)
        == FormatError(.pageSize(found: size), at: 0x24, in: .mappedRAMHeader("pc.ram")))
  }

  @Test(arguments: [1024, 65536] as [UInt64]) func extremePageSizesAreRead(_ size: UInt64) throws {
    let bytes = replacing(4, be(size))
    #expect(try parse(bytes, parser).pageSize == PageSize(byteCount: size))
    try expectRoundTrip(bytes, parser) { $0.encode(into: &$1) }
  }

  @Test func anyOffsetsAreRead() throws {
    let bytes = replacing(12, be(UInt64.max) + be(UInt64.max))
    let header = try parse(bytes, parser)
    #expect(header.bitmapOffset == FileOffset(.max))
    #expect(header.pagesOffset == FileOffset(.max))
    try expectRoundTrip(bytes, parser) { $0.encode(into: &$1) }
  }

  /// QEMU 11 writes zeros for a block that x-ignore-shared leaves out.
  @Test func onlyTwoZeroOffsetsMeanIgnored() throws {
    #expect(try parse(replacing(12, be(UInt64(0)) + be(UInt64(0))), parser).isIgnored)
    #expect(try !parse(replacing(12, be(UInt64(0))), parser).isIgnored)
    #expect(try !parse(replacing(20, be(UInt64(0))), parser).isIgnored)
  }
}
