import Testing

@testable import MappedRAMFormat

/// The area of devices' states: what is written is read, and nothing else is.
@Suite struct DeviceAreaTests {
  /// Two devices of three and one buffers.
  static let example = DeviceArea(
    start: 0x1234, table: 0x5000,
    devices: [
      StoredDevice(
        DeviceIdentity("0000:00:02.0/vfio", instanceID: 7),
        buffers: [
          StoredBuffer(offset: 0x2000, byteCount: 4096),
          StoredBuffer(offset: 0x4000, byteCount: 0),
          StoredBuffer(offset: 0x4000, byteCount: 100, isConfiguration: true),
        ]),
      StoredDevice(
        DeviceIdentity("nic"), buffers: [StoredBuffer(offset: 0x3000, byteCount: 4096)]),
    ])

  /// Where fields of the example's table stand, from the table's start.
  static let firstDevice = 0
  static let firstBuffer = 1 + 17 + 16
  static let secondDevice = firstBuffer + 3 * 24

  /// The bytes of `area` from its header on.
  static func bytes(_ area: DeviceArea) -> [UInt8] {
    let (header, table) = area.encoded()
    let gap = Int((area.table - area.start).rawValue) - header.bytes.count
    return header.bytes + Array(repeating: 0xAA, count: gap) + table.bytes
  }

  /// Reads an area as a reader of a file does that has `bytes` from the example's place on, and then ends.
  static func read(_ bytes: [UInt8]) throws(FormatError) -> DeviceArea {
    let start = example.start
    let fileEnd = start + ByteCount(bytes.count)
    var head = ByteInput(bytes.span, at: start)
    let header = try DeviceAreaHeader(parsing: &head, fileEnd: fileEnd)
    let first = Int((header.table.lowerBound - start).rawValue)
    let last = Int((header.end - start).rawValue)
    let table = Array(bytes[first..<last])
    var input = ByteInput(table.span, at: header.table.lowerBound)
    return try DeviceArea(header: header, parsing: &input)
  }

  /// The example with `value` at `offset` of its header or table, and a sum that fits.
  static func changed(
    _ value: [UInt8], at offset: Int, inTable: Bool = false
  ) -> [UInt8] {
    var bytes = bytes(example)
    let place = offset + (inTable ? 0x5000 - 0x1234 : 0)
    bytes.replaceSubrange(place..<(place + value.count), with: value)
    let tableBytes = Int(example.tableByteCount.rawValue)
    var sum = CRC32C()
    sum.add(bytes[..<12] + [0, 0, 0, 0] + bytes[16..<64])
    sum.add(bytes[0x3DCC..<(0x3DCC + tableBytes)])
    bytes.replaceSubrange(12..<16, with: be32(sum.value))
    return bytes
  }

  static func be32(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }
  static func be64(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
  }

  @Test func readsWhatItWrites() throws {
    let bytes = Self.bytes(Self.example)
    #expect(try Self.read(bytes) == Self.example)
    #expect(UInt64(bytes.count) == (Self.example.end - Self.example.start).rawValue)
    #expect(Self.example.byteCount == 8292 && Self.example.bufferCount == 4)
  }

  /// The sum is that of RFC 3720: 32 zero bytes give 0x8A9136AA, the digits 0xE3069283.
  @Test func theSumIsCastagnolis() {
    var zeros = CRC32C()
    zeros.add(Array(repeating: 0, count: 32))
    #expect(zeros.value == 0x8A91_36AA)
    var digits = CRC32C()
    digits.add("123456789".utf8)
    #expect(digits.value == 0xE306_9283)
  }

  @Test func aFileCutAtAnyByteIsRefused() {
    let bytes = Self.bytes(Self.example)
    for count in 0..<bytes.count {
      #expect(throws: FormatError.self, "cut after \(count) bytes") {
        try Self.read(Array(bytes[..<count]))
      }
    }
  }

  /// Each bit of header, table and trailer counts.
  @Test func anyChangedBitIsRefused() {
    let bytes = Self.bytes(Self.example)
    let places = Array(0..<64) + Array((0x5000 - 0x1234)..<bytes.count)
    for place in places {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[place] ^= 1 << UInt8(bit)
        #expect(throws: FormatError.self, "bit \(bit) of byte \(place)") { try Self.read(damaged) }
      }
    }
  }

  /// A field's place, its value, what is found, and where.
  static let header: [(Int, [UInt8], DeviceAreaProblem, Int)] = [
    (0, Array("MRAMDEVX".utf8), .magic(found: Array("MRAMDEVX".utf8)), 0),
    (8, be32(0), .version(found: 0), 8),
    (8, be32(2), .version(found: 2), 8),
    (16, be64(0x1233), .start(found: 0x1233, expected: 0x1234), 16),
    (24, be64(0x1273), .tableStart(found: 0x1273, headerEnd: 0x1274), 24),
    (24, be64(.max), .tableBytes(found: 150), 32),
    (32, be64(149), .tableBytes(found: 149), 32),
    (32, be64(.max), .tableBytes(found: ByteCount(UInt64.max)), 32),
    (40, be64(.max), .end(found: FileOffset(.max), fileSize: 0x50A6), 40),
    (40, be64(0), .tableBytes(found: 150), 32),
    (48, be32(0), .noDevices, 48),
    (56, be64(1), .reserved(found: 1), 56),
  ]

  @Test(arguments: header)
  func refusesHostileHeaders(
    _ offset: Int, _ value: [UInt8], _ problem: DeviceAreaProblem, _ place: Int
  ) {
    #expect(
      throws: FormatError(
        .deviceArea(problem), at: Self.example.start + ByteCount(place), in: .deviceArea)
    ) {
      try Self.read(Self.changed(value, at: offset))
    }
  }

  @Test func refusesMoreThanTheLimits() {
    for (offset, value, limit) in [
      (48, UInt32(1025), FormatError.Limit.devices), (52, 1 << 20 + 1, .deviceBuffers),
    ] {
      #expect {
        try Self.read(Self.changed(Self.be32(value), at: offset))
      } throws: { error in
        if case .overLimit(limit, found: UInt64(value), _)? = (error as? FormatError)?.kind {
          true
        } else {
          false
        }
      }
    }
    #expect {
      try Self.read(
        Self.changed(Self.be64(16 << 20 + 1), at: Self.firstBuffer + 16, inTable: true))
    } throws: { error in
      if case .overLimit(.deviceBufferBytes, _, _)? = (error as? FormatError)?.kind {
        true
      } else {
        false
      }
    }
  }

  private static let first = FileOffset(0x1274)..<FileOffset(0x5000)

  static let table: [(Int, [UInt8], DeviceAreaProblem)] = [
    (firstDevice + 22, be32(0), .bufferCount(found: 0, most: 4)),
    (firstDevice + 22, be32(5), .bufferCount(found: 5, most: 4)),
    (firstDevice + 22, be32(.max), .bufferCount(found: .max, most: 4)),
    (firstDevice + 26, be64(4197), .byteTotal(found: 4197, expected: 4196)),
    // Numbers: repeated, missing, out of range.
    (firstBuffer, be32(1), .bufferNumber(found: 1, expected: 0)),
    (firstBuffer + 24, be32(0), .bufferNumber(found: 0, expected: 1)),
    (firstBuffer + 48, be32(3), .bufferNumber(found: 3, expected: 2)),
    (firstBuffer + 48, be32(.max), .bufferNumber(found: .max, expected: 2)),
    (firstBuffer + 4, be32(4), .bufferFlags(found: 4)),
    (firstBuffer + 4, be32(1), .lastTooEarly),
    (firstBuffer + 52, be32(2), .lastMissing),
    (firstBuffer + 8, be64(0x1273), .bufferPlace(0x1273, 4096, area: first)),
    (firstBuffer + 8, be64(0x4001), .bufferPlace(0x4001, 4096, area: first)),
    (firstBuffer + 8, be64(.max), .bufferPlace(FileOffset(.max), 4096, area: first)),
    (
      firstBuffer + 8, be64(0x2001),
      .buffersOverlap(with: DeviceIdentity("0000:00:02.0/vfio", instanceID: 7))
    ),
  ]

  @Test(arguments: table)
  func refusesHostileTables(_ offset: Int, _ value: [UInt8], _ problem: DeviceAreaProblem) {
    #expect {
      try Self.read(Self.changed(value, at: offset, inTable: true))
    } throws: { error in
      (error as? FormatError)?.kind == .deviceArea(problem)
    }
  }

  @Test func refusesADeviceTwice() {
    var area = Self.example
    area.devices[0].identity = DeviceIdentity("nic")
    let bytes = Self.bytes(area)
    #expect {
      try Self.read(bytes)
    } throws: { error in
      (error as? FormatError)?.kind == .deviceArea(.deviceTwice)
    }
  }

  private func isPresent(_ bytes: [UInt8]) -> Bool {
    DeviceAreaHeader.isPresent(at: ByteInput(bytes.span))
  }

  /// The magic's first bytes alone are an area that was cut off; other bytes are none.
  @Test func isPresentWhereItBegins() {
    for count in 1...8 {
      let bytes = Array(DeviceAreaHeader.magic[..<count])
      #expect(isPresent(bytes))
    }
    for bytes in [[], [0], Array("MRAMDEVT".utf8), Array("mRAM".utf8)] as [[UInt8]] {
      #expect(!isPresent(bytes))
    }
  }

  @Test func everyProblemIsASentence() {
    let problems =
      Self.header.map(\.2) + Self.table.map(\.2) + [
        .checksum(found: 1, expected: 2), .trailer, .streamEnd(found: 1, expected: 2),
        .deviceTwice, .tableEnd(found: 1, expected: 2),
      ]
    for problem in problems {
      let text = "\(problem)"
      #expect(text.hasSuffix(".") && text.count > 20)
    }
  }
}
