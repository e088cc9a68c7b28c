import Testing

@testable import MappedRAMFormat

/// Headers of areas and what closes them: what is written is read, and nothing else is.
@Suite struct AreaTests {
  static let start = FileOffset(0x1234)
  static let example = AreaHeader(
    .devices, version: 7, isNeeded: true, range: start..<FileOffset(0x1300),
    table: {
      var table = ByteOutput(at: 0x1280)
      table.write(Array("table".utf8))
      return table
    }())

  static func read(
    _ bytes: [UInt8], fileEnd: FileOffset = 0x1300
  ) throws(FormatError) -> AreaHeader {
    var input = ByteInput(bytes.span, at: start)
    return try AreaHeader(parsing: &input, fileEnd: fileEnd)
  }

  /// The example with `value` at `offset`, and a sum that fits.
  static func changed(_ value: [UInt8], at offset: Int) -> [UInt8] {
    var bytes = example.encoded.bytes
    bytes.replaceSubrange(offset..<(offset + value.count), with: value)
    var sum = CRC32C()
    sum.add(Array(bytes[..<12]) + [0, 0, 0, 0] + Array(bytes[16...]))
    bytes.replaceSubrange(12..<16, with: DeviceAreaTests.be32(sum.value))
    return bytes
  }

  @Test func readsWhatItWrites() throws {
    let bytes = Self.example.encoded.bytes
    #expect(bytes.count == 64 && bytes.starts(with: Array("MRAMDEVS".utf8)))
    let found = try Self.read(bytes)
    #expect(found == Self.example && found.encoded.bytes == bytes)
    try found.check(table: Array("table".utf8))
    #expect(throws: FormatError.self) { try found.check(table: Array("tablf".utf8)) }
  }

  @Test func aHeaderThatIsCutOffIsRefused() {
    for count in 0..<64 {
      #expect(throws: FormatError.self) {
        try Self.read(Array(Self.example.encoded.bytes[..<count]))
      }
    }
  }

  @Test func anyChangedBitIsRefused() {
    for place in 0..<64 {
      for bit in 0..<8 {
        var bytes = Self.example.encoded.bytes
        bytes[place] ^= 1 << UInt8(bit)
        #expect(throws: FormatError.self, "bit \(bit) of byte \(place)") { try Self.read(bytes) }
      }
    }
  }

  private static func be64(_ value: UInt64) -> [UInt8] { DeviceAreaTests.be64(value) }
  private static func be32(_ value: UInt32) -> [UInt8] { DeviceAreaTests.be32(value) }
  private static let range = FileOffset(0x1234)..<FileOffset(0x1300)

  /// A field's place, its value, what is found, and where.
  static let hostile: [(Int, [UInt8], AreaProblem, Int)] = [
    (0, Array("MRAmDEVS".utf8), .magic(found: Array("MRAmDEVS".utf8)), 0),
    (0, Array("MRAMDEvS".utf8), .magic(found: Array("MRAMDEvS".utf8)), 0),
    (16, be64(0x1233), .place(found: 0x1233, expected: 0x1234), 16),
    (24, be64(0), .length(found: 0), 24),
    (24, be64(63), .length(found: 63), 24),
    (24, be64(0x1300 - 0x1234 + 1), .end(0xcd, fileSize: 0x1300), 24),
    (24, be64(.max), .end(ByteCount(UInt64.max), fileSize: 0x1300), 24),
    (32, be64(0x1273), .tablePlace(0x1273, 5, area: range), 32),
    (32, be64(.max), .tablePlace(FileOffset(.max), 5, area: range), 32),
    (40, be64(0x81), .tablePlace(0x1280, 0x81, area: range), 32),
    (40, be64(.max), .tablePlace(0x1280, ByteCount(UInt64.max), area: range), 32),
    (52, be32(2), .flags(found: 2), 52),
    (56, be64(1), .reserved(found: 1), 56),
  ]

  @Test(arguments: hostile)
  func refusesHostileHeaders(
    _ offset: Int, _ value: [UInt8], _ problem: AreaProblem, _ place: Int
  ) {
    #expect(throws: FormatError(.area(problem), at: Self.start + ByteCount(place), in: .areas)) {
      try Self.read(Self.changed(value, at: offset))
    }
  }

  private func isPresent(_ bytes: [UInt8]) -> Bool {
    AreaHeader.isPresent(at: ByteInput(bytes.span))
  }

  /// The magic's first bytes alone are an area that was cut off; other bytes are none.
  @Test func isPresentWhereItBegins() {
    for count in 1...4 { #expect(isPresent(Array(AreaHeader.magic[..<count]))) }
    #expect(isPresent(Array("MRAMWXYZ".utf8)))
    for bytes in [[], [0], Array("MRAS".utf8), Array("mRAM".utf8), [0x06], [0x0a]] as [[UInt8]] {
      #expect(!isPresent(bytes))
    }
  }

  /// The bytes of a whole area and of what closes it, as another program (a few lines of Python) makes them of FORMAT.md.
  @Test func theBytesAreThoseOfTheDocument() {
    let expected = """
      4d52414d444556530000000143e5e58a00000000000010000000000000000085
      000000000000104300000000000000425c312593000000010000000000000000
      0000000100000001016400000002000000010000000000000003000000000000
      0003000000000000104000000000000000030123456789abcdeffedcba987654
      3210
      06000000027b7d0a6d61707065642d72616d2061726561732030303030303030
      3030303030313030300a
      """.filter { !$0.isWhitespace }
    let buffer = StoredBuffer(
      offset: 0x1040, byteCount: 3, isConfiguration: true,
      sum: ContentSum(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210))
    let area = DeviceArea(
      start: 0x1000, table: 0x1043,
      devices: [StoredDevice(DeviceIdentity("d", instanceID: 2), buffers: [buffer])])
    let (header, table) = area.encoded()
    var closing = ByteOutput(at: area.end)
    AreaClosing(firstArea: 0x1000, text: Array("{}".utf8)).encode(into: &closing)
    let found = (header.bytes + table.bytes + closing.bytes).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
    #expect(found == expected)
  }

  // MARK: What closes them

  @Test func theLineIsReadAsItIsWritten() throws {
    for place in [0, 1, 0xFEDC_BA98, UInt64.max] {
      var output = ByteOutput()
      AreaLine(firstArea: FileOffset(place)).encode(into: &output)
      #expect(output.bytes.count == AreaLine.byteCount)
      #expect(!output.bytes.contains(0) && !output.bytes.contains(UInt8(ascii: "{")))
      var input = ByteInput(output.bytes.span)
      let line = AreaLine(parsing: &input)
      #expect(line?.firstArea == FileOffset(place) && input.remaining == 0)
    }
  }

  /// A bit that is flipped makes no line, or the line of another place, which no areas have.
  @Test func noFlippedBitLeavesTheLineAsItWas() {
    var output = ByteOutput()
    AreaLine(firstArea: 0x123_4567).encode(into: &output)
    for place in output.bytes.indices {
      for bit in 0..<8 {
        var bytes = output.bytes
        bytes[place] ^= 1 << UInt8(bit)
        var input = ByteInput(bytes.span)
        #expect(AreaLine(parsing: &input)?.firstArea != 0x123_4567)
      }
      let short = Array(output.bytes[..<place])
      var cut = ByteInput(short.span)
      #expect(AreaLine(parsing: &cut) == nil)
    }
  }

  /// What `scripts/analyze-migration.py` of QEMU looks for at the end of a file: behind the last zero byte the first brace, five bytes before
  /// that 0x06, and then the length of the text.
  static func textByScriptsRule(_ file: [UInt8]) -> [UInt8]? {
    let bytes = Array(file.suffix(10 << 20))
    let zero = bytes.lastIndex(of: 0) ?? 0
    guard let brace = bytes[zero...].firstIndex(of: UInt8(ascii: "{")), brace >= 5,
      bytes[brace - 5] == 0x06
    else { return nil }
    let length = bytes[(brace - 4)..<brace].reduce(0) { $0 << 8 | Int($1) }
    return Array(bytes[brace...].prefix(length))
  }

  /// Whatever length the text has: one with a brace among its bytes would lead the script astray.
  @Test(arguments: [2, 122, 123, 124, 0x7AFF, 0x7B00, 0x7B7B, 0x7BFF, 0x7C00, 70_000])
  func theScriptFindsTheCopy(_ count: Int) throws {
    let text =
      Array("{".utf8) + Array(repeating: UInt8(ascii: "x"), count: count - 2) + Array("}".utf8)
    var output = ByteOutput()
    output.write([1, 2, 3, 0, 4])
    AreaClosing(firstArea: 0x1234, text: text).encode(into: &output)
    let found = try #require(Self.textByScriptsRule(output.bytes))
    #expect(AreaClosing.isCopy(found, of: text))
    #expect(found.count - count <= 256)
  }

  @Test func anotherTextIsNoCopy() {
    let text = Array("{}".utf8)
    #expect(AreaClosing.isCopy(text, of: text))
    for other in ["", "{", "{]", "{}}", "{} x"] {
      #expect(!AreaClosing.isCopy(Array(other.utf8), of: text))
    }
  }

  @Test func everyProblemIsASentence() {
    let problems =
      Self.hostile.map(\.2) + [
        .checksum(found: 1, expected: 2), .tableChecksum(found: 1, expected: 2),
        .tooMany(limit: 64), .twice, .unknown(version: 2), .noClosing,
        .closingOffset(found: 1, expected: 2), .closingEnd(found: 1, expected: 2),
        .descriptionCopy, .streamEnd(found: 1, expected: 2),
      ]
    for problem in problems {
      let text = "\(problem)"
      #expect(text.hasSuffix(".") && text.count > 16)
    }
  }
}
