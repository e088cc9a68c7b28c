import MappedRAMFormat
import Testing

@Suite struct StreamElementTests {
  static let examples: [(StreamElement, [UInt8])] = [
    (
      .start(id: 1, .ram),
      [1, 0, 0, 0, 1, 3, 0x72, 0x61, 0x6D, 0, 0, 0, 0, 0, 0, 0, 4]
    ),
    (
      .full(id: .max, SectionIdentity(idstr: "timer", instanceID: 0xFFFF_FFFF, version: 2)),
      [4, 0xFF, 0xFF, 0xFF, 0xFF] + counted("timer") + [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2]
    ),
    (.part(id: 0x0102_0304), [2, 1, 2, 3, 4]),
    (.end(id: 0), [3, 0, 0, 0, 0]),
    (.command(Command(.switchoverStart)), [8, 0, 0x0B, 0, 0]),
    (.endOfStream, [0]),
  ]

  @Test(arguments: examples) func readsAndWrites(_ element: StreamElement, _ bytes: [UInt8]) throws
  {
    #expect(try parse(bytes, StreamElement.init(parsing:)) == element)
    try expectRoundTrip(bytes, StreamElement.init(parsing:)) { $0.encode(into: &$1) }
    #expect(element.type.rawValue == bytes[0])
    #expect(bytes.count <= StreamElement.maximumByteCount)
  }

  @Test(arguments: examples.map(\.1)) func everyPrefixIsCutOff(_ bytes: [UInt8]) throws {
    try expectTruncation(of: bytes, StreamElement.init(parsing:))
  }

  @Test func bytesThatAreNoTypeAreRefused() throws {
    let known = Set(SectionType.allCases.map(\.rawValue))
    for byte in UInt8.min...UInt8.max where !known.contains(byte) {
      #expect(
        try failure([byte] + [UInt8](repeating: 0, count: 20), at: 5, StreamElement.init(parsing:))
          == FormatError(.unknownSectionType(byte), at: 5, in: .sectionHeader))
    }
  }

  @Test(arguments: [.subsection, .description, .configuration, .footer] as [SectionType])
  func typesFromElsewhereAreMisplaced(_ type: SectionType) throws {
    #expect(
      try failure([type.rawValue, 0, 0, 0, 0], at: 5, StreamElement.init(parsing:))
        == FormatError(.misplacedSection(type), at: 5, in: .sectionHeader))
  }

  @Test func idstrHas1To255PrintableBytes() throws {
    let longest = StreamElement.full(
      id: 1, SectionIdentity(idstr: String(repeating: "~", count: 255), instanceID: 0, version: 0))
    try expectRoundTrip(encoded { longest.encode(into: &$0) }, StreamElement.init(parsing:)) {
      $0.encode(into: &$1)
    }
    #expect(
      try failure([1, 0, 0, 0, 1, 0], StreamElement.init(parsing:))
        == FormatError(.nameEmpty, at: 6, in: .sectionHeader))
    #expect(
      try failure([1, 0, 0, 0, 1, 1, 0x0A], StreamElement.init(parsing:))
        == FormatError(.nameNotPrintable([0x0A]), at: 6, in: .sectionHeader))
  }

  @Test func typesHaveTheNamesOfQEMUsDocuments() {
    #expect(
      SectionType.allCases.map(\.name) == [
        "EOF", "START", "PART", "END", "FULL", "SUBSECTION", "VMDESCRIPTION", "CONFIGURATION",
        "COMMAND", "FOOTER",
      ])
    #expect(SectionType.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7E])
  }
}

@Suite struct SectionFooterTests {
  let parser: Parser<SectionFooter> = { (input) throws(FormatError) in
    try SectionFooter(parsing: &input, of: 0x0102_0304, in: .section("timer"))
  }

  @Test func readsAndWritesItsFiveBytes() throws {
    try expectRoundTrip([0x7E, 1, 2, 3, 4], parser) { $0.encode(into: &$1) }
    #expect(encoded { SectionFooter(id: 7).encode(into: &$0) }.count == SectionFooter.byteCount)
  }

  @Test func everyPrefixIsCutOff() throws {
    try expectTruncation(of: [0x7E, 1, 2, 3, 4], parser)
  }

  @Test(arguments: [0x00, 0x7D, 0x7F, 0xFF] as [UInt8]) func otherBytesAreNone(_ byte: UInt8) throws
  {
    #expect(
      try failure([byte, 1, 2, 3, 4], at: 9, parser)
        == FormatError(.missingFooter(found: byte), at: 9, in: .section("timer")))
  }

  @Test func footerOfAnotherSectionIsRefused() throws {
    #expect(
      try failure([0x7E, 1, 2, 3, 5], at: 9, parser)
        == FormatError(
          .footerMismatch(found: 0x0102_0305, expected: 0x0102_0304), at: 10,
          in: .section("timer")))
  }
}
