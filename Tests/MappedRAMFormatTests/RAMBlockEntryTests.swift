import MappedRAMFormat
import Testing

@Suite struct RAMBlockEntryTests {
  static let header = MappedRAMHeader(
    pageSize: .fourKiB, bitmapOffset: 139, pagesOffset: 0x10_0000)
  static let head = counted("pc.ram") + be(UInt64(0x2000_0000))

  /// The four forms of a list, with the bytes and the value of an entry.
  static let forms: [(RAMBlockEntry.Form, [UInt8], RAMBlockEntry)] = [
    (
      .init(hasAddress: false, hasHeader: false), head,
      RAMBlockEntry(idstr: "pc.ram", usedLength: 0x2000_0000)
    ),
    (
      .init(hasAddress: true, hasHeader: false), head + be(UInt64(0xFFFC_0000)),
      RAMBlockEntry(idstr: "pc.ram", usedLength: 0x2000_0000, address: 0xFFFC_0000)
    ),
    (
      .init(hasAddress: false, hasHeader: true), head + encoded { header.encode(into: &$0) },
      RAMBlockEntry(idstr: "pc.ram", usedLength: 0x2000_0000, header: header)
    ),
    (
      .init(hasAddress: true, hasHeader: true),
      head + be(UInt64(0)) + encoded { header.encode(into: &$0) },
      RAMBlockEntry(idstr: "pc.ram", usedLength: 0x2000_0000, address: 0, header: header)
    ),
  ]

  private func parser(_ form: RAMBlockEntry.Form) -> Parser<RAMBlockEntry> {
    { (input) throws(FormatError) in try RAMBlockEntry(parsing: &input, form: form) }
  }

  @Test(arguments: 0..<4) func readsAndWritesEachForm(_ index: Int) throws {
    let (form, bytes, entry) = Self.forms[index]
    #expect(try parse(bytes, parser(form)) == entry)
    try expectRoundTrip(bytes, parser(form)) { $0.encode(into: &$1) }
    let block = try RAMBlock(idstr: "pc.ram", usedLength: 0x2000_0000, pageSize: .fourKiB)
    #expect(RAMBlockEntry.byteCount(of: block, form: form) == ByteCount(bytes.count))
  }

  @Test(arguments: 0..<4) func everyPrefixIsCutOff(_ index: Int) throws {
    try expectTruncation(of: Self.forms[index].1, parser(Self.forms[index].0))
  }

  /// QEMU 11 with both capabilities: a header of zeros stands for a block that is left out.
  @Test func ignoredBlockHasZeroOffsets() throws {
    let bytes =
      counted("ram0") + be(UInt64(0x800_0000)) + be(UInt64(0x600_0000)) + be(UInt32(1))
      + be(UInt64(4096)) + be(UInt64(0)) + be(UInt64(0))
    let form = RAMBlockEntry.Form(hasAddress: true, hasHeader: true)
    let entry = try parse(bytes, parser(form))
    #expect(entry.address == 0x600_0000)
    #expect(entry.header?.isIgnored == true)
    try expectRoundTrip(bytes, parser(form)) { $0.encode(into: &$1) }
  }

  @Test func formFollowsFromTheConfiguration() {
    for (names, address, header) in [
      ([], false, false), (["mapped-ram"], false, true), (["x-ignore-shared"], true, false),
      (["x-ignore-shared", "mapped-ram"], true, true),
    ] as [([String], Bool, Bool)] {
      let configuration = Configuration(
        machineType: "pc", subsections: names.isEmpty ? [] : [.capabilities(names)])
      #expect(
        RAMBlockEntry.Form(configuration)
          == RAMBlockEntry.Form(hasAddress: address, hasHeader: header))
    }
  }

  @Test func longestEntryIsWithinTheMaximum() throws {
    let entry = RAMBlockEntry(
      idstr: String(repeating: "x", count: 255), usedLength: ByteCount(UInt64.max), address: .max,
      header: Self.header)
    let bytes = encoded { entry.encode(into: &$0) }
    #expect(bytes.count == RAMBlockEntry.maximumByteCount)
    try expectRoundTrip(bytes, parser(.init(hasAddress: true, hasHeader: true))) {
      $0.encode(into: &$1)
    }
  }

  @Test func nameMustBePrintable() throws {
    let form = RAMBlockEntry.Form(hasAddress: false, hasHeader: false)
    #expect(
      try failure([0] + be(UInt64(1)), parser(form))
        == FormatError(.nameEmpty, at: 1, in: .ramBlockList))
    #expect(
      try failure([1, 0x1B] + be(UInt64(1)), parser(form))
        == FormatError(.nameNotPrintable([0x1B]), at: 1, in: .ramBlockList))
  }
}
