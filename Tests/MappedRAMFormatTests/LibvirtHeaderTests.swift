import MappedRAMFormat
import Testing

@Suite struct LibvirtHeaderTests {
  /// A header with these fields, as a host of that byte order writes it.
  static func bytes(
    magic: String = "LibvirtQemudSave", order: LibvirtHeader.ByteOrder = .little,
    _ fields: [UInt32] = [2, 67947, 1, 6, 2176]
  ) -> [UInt8] {
    ascii(magic) + fields.flatMap { order == .big ? be($0) : be($0.byteSwapped) }
      + [UInt8](repeating: 0, count: 56)
  }

  private func error(_ fields: [UInt32], _ order: LibvirtHeader.ByteOrder) throws -> FormatError {
    try failure(Self.bytes(order: order, fields), at: 0x100, LibvirtHeader.init(parsing:))
  }

  @Test(arguments: [.little, .big] as [LibvirtHeader.ByteOrder])
  func readsBothByteOrders(_ order: LibvirtHeader.ByteOrder) throws {
    let bytes = Self.bytes(order: order)
    #expect(bytes.count == LibvirtHeader.byteCount)
    let header = try parse(bytes, LibvirtHeader.init(parsing:))
    #expect(header.isComplete)
    #expect(header.byteOrder == order)
    #expect(header.version == 2)
    #expect(header.dataLength == 67947)
    #expect(header.wasRunning)
    #expect(header.format == .sparse)
    #expect(header.cookieOffset == 2176)
    #expect(header.streamOffset == 68039)
    try expectRoundTrip(bytes, LibvirtHeader.init(parsing:)) { $0.encode(into: &$1) }
    try expectTruncation(of: bytes, LibvirtHeader.init(parsing:))
  }

  @Test func brokenOffSaveIsToldByItsMagic() throws {
    let bytes = Self.bytes(magic: "LibvirtQemudPart", [1, 1, 0, 0, 0])
    let header = try parse(bytes, LibvirtHeader.init(parsing:))
    #expect(!header.isComplete)
    #expect(!header.wasRunning)
    #expect(header.version == 1)
    try expectRoundTrip(bytes, LibvirtHeader.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test func unusedBytesAreIgnored() throws {
    let bytes = Self.bytes().prefix(36) + [UInt8](repeating: 0xFF, count: 56)
    #expect(
      try parse(Array(bytes), LibvirtHeader.init(parsing:))
        == parse(Self.bytes(), LibvirtHeader.init(parsing:)))
  }

  @Test func isRecognizedByItsMagicAlone() {
    for magic in ["LibvirtQemudSave", "LibvirtQemudPart"] {
      #expect(LibvirtHeader.isPresent(in: ascii(magic)))
      #expect(LibvirtHeader.isPresent(in: ascii(magic + "more")))
      #expect(!LibvirtHeader.isPresent(in: ascii(magic).dropLast()))
    }
    #expect(!LibvirtHeader.isPresent(in: ascii("LibvirtQemudSalt")))
    #expect(!LibvirtHeader.isPresent(in: []))
  }

  @Test func otherMagicIsRefused() throws {
    #expect(
      try failure(Self.bytes(magic: "LibvirtQemudSalt"), at: 3, LibvirtHeader.init(parsing:))
        == FormatError(
          .notAStream(found: ascii("LibvirtQemudSalt"), looksLike: nil), at: 3,
          in: .libvirtHeader))
  }

  @Test(arguments: [.little, .big] as [LibvirtHeader.ByteOrder])
  func fieldsOutOfRangeAreRefusedAtTheirPlaces(_ order: LibvirtHeader.ByteOrder) throws {
    func expect(_ fields: [UInt32], _ kind: FormatError.Kind, at offset: FileOffset) throws {
      #expect(try error(fields, order) == FormatError(kind, at: offset, in: .libvirtHeader))
    }
    try expect([2, 0, 0, 6, 0], .libvirtDataLength(found: 0), at: 0x114)
    let limit: UInt32 = 16 << 20
    for length in [limit + 1, .max] {
      let kind = FormatError.Kind.overLimit(
        .libvirtDataBytes, found: UInt64(length), limit: UInt64(limit))
      try expect([2, length, 0, 6, 0], kind, at: 0x114)
    }
    for format: UInt32 in [7, .max] {
      try expect([2, 9, 0, format, 0], .libvirtFormat(found: format), at: 0x11C)
    }
    for cookie: UInt32 in [9, 10, .max] {
      try expect(
        [2, 9, 0, 6, cookie], .libvirtCookieOffset(found: cookie, dataLength: 9), at: 0x120)
    }
  }

  @Test func versionsOtherThan1And2AreRefused() throws {
    for (fields, order, found) in [
      ([0, 9, 0, 6, 0], .little, 0), ([3, 9, 0, 6, 0], .little, 0x0300_0000),
      ([3, 9, 0, 6, 0], .big, 3), ([.max, 9, 0, 6, 0], .little, .max),
    ] as [([UInt32], LibvirtHeader.ByteOrder, UInt32)] {
      #expect(
        try error(fields, order)
          == FormatError(.libvirtVersion(found: found), at: 0x110, in: .libvirtHeader))
    }
  }

  @Test func extremesAreRead() throws {
    for fields in [[1, 1, 0, 0, 0], [2, 16 << 20, 1, 6, (16 << 20) - 1]] as [[UInt32]] {
      for order in [LibvirtHeader.ByteOrder.little, .big] {
        try expectRoundTrip(Self.bytes(order: order, fields), LibvirtHeader.init(parsing:)) {
          $0.encode(into: &$1)
        }
      }
    }
    for format in LibvirtHeader.PayloadFormat.allCases {
      let header = try parse(
        Self.bytes([2, 9, 0, format.rawValue, 0]), LibvirtHeader.init(parsing:))
      #expect(header.format == format)
    }
  }
}
