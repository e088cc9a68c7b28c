import MappedRAMFormat
import Testing

@Suite struct RAMRecordTests {
  private let parser: Parser<RAMRecord> = { (input) throws(FormatError) in
    try RAMRecord(parsing: &input, in: .section("ram"))
  }

  private static let examples: [(RAMRecord, [UInt8])] = [
    (.page(offset: 0x1000, idstr: "pc.ram"), be(UInt64(0x1008)) + counted("pc.ram")),
    (.page(offset: 0, idstr: nil), be(UInt64(0x28))),
    (.page(offset: .max & ~0x3FF, idstr: nil), be(UInt64.max & ~0x3FF | 0x28)),
    (.zero(offset: 0x2000, idstr: "r"), be(UInt64(0x2002)) + counted("r") + [0]),
    (.zero(offset: 0x400, idstr: nil), be(UInt64(0x422)) + [0]),
    (.flush, be(UInt64(0x200))),
    (.endOfSection, be(UInt64(0x10))),
  ]

  @Test(arguments: examples)
  func isReadAndWritten(_ record: RAMRecord, _ bytes: [UInt8]) throws {
    #expect(try parse(bytes, parser) == record)
    try expectRoundTrip(bytes, parser) { $0.encode(into: &$1) }
    try expectTruncation(of: bytes, parser)
    #expect(bytes.count <= RAMRecord.maximumByteCount)
  }

  @Test func theLongestNameFits() throws {
    let name = String(repeating: "x", count: 255)
    let bytes = encoded { RAMRecord.zero(offset: 0, idstr: name).encode(into: &$0) }
    #expect(bytes.count == RAMRecord.maximumByteCount)
    #expect(try parse(bytes, parser) == .zero(offset: 0, idstr: name))
  }

  @Test func theAddressOfAnEndMeansNothing() throws {
    #expect(try parse(be(UInt64(0x5010)), parser) == .endOfSection)
  }

  /// FULL, MEM_SIZE, XBZRLE, HOOK, COMPRESS_PAGE, none, and two at once.
  @Test(arguments: [0x01, 0x04, 0x40, 0x80, 0x100, 0, 0x0A, 0x20] as [UInt64])
  func otherFlagsAreRefused(_ flags: UInt64) throws {
    let error = try failure(be(0x1000 | flags) + counted("ram") + [0], at: 0x50, parser)
    #expect(error == FormatError(.ramRecordFlags(found: flags), at: 0x50, in: .section("ram")))
  }

  @Test func pagesFilledWithAnotherByteAreRefused() throws {
    let error = try failure(be(UInt64(0x22)) + [7], at: 0x50, parser)
    #expect(error == FormatError(.ramFillByte(found: 7), at: 0x58, in: .section("ram")))
  }

  /// Whoever tries again with more bytes finds the cursor where it was.
  @Test func aFailureLeavesTheCursorWhereItWas() throws {
    let bytes = be(UInt64(0x08)) + [200, 1, 2]
    _ = try parse(bytes) { (input) throws(FormatError) in
      #expect(throws: FormatError.self) { try RAMRecord(parsing: &input, in: .section("ram")) }
      #expect(input.remaining == bytes.count)
    }
  }
}
