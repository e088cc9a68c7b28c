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
          StoredBuffer(offset: 0x2000, byteCount: 4096, sum: ContentSum(high: 1, low: 2)),
          StoredBuffer(offset: 0x4000, byteCount: 0, sum: ContentSum(high: 3, low: 4)),
          StoredBuffer(
            offset: 0x4000, byteCount: 100, isConfiguration: true,
            sum: ContentSum(high: 5, low: .max)),
        ]),
      StoredDevice(
        DeviceIdentity("nic"),
        buffers: [
          StoredBuffer(offset: 0x3000, byteCount: 4096, sum: ContentSum(high: 0, low: 9))
        ]),
    ])

  /// Where fields of the example's table stand, from the table's start.
  static let firstDevice = 8
  static let firstBuffer = firstDevice + 1 + 17 + 16
  static let nextBuffer = 40

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
    let header = try AreaHeader(parsing: &head, fileEnd: fileEnd)
    let first = Int((header.table.lowerBound - start).rawValue)
    let last = Int((header.table.upperBound - start).rawValue)
    let table = Array(bytes[first..<last])
    var input = ByteInput(table.span, at: header.table.lowerBound)
    return try DeviceArea(header: header, parsing: &input)
  }

  /// The example with `value` at `offset` of its header or table, and sums that fit.
  static func changed(
    _ value: [UInt8], at offset: Int, inTable: Bool = false, of original: [UInt8]? = nil
  ) -> [UInt8] {
    var bytes = original ?? bytes(example)
    let table = 0x5000 - 0x1234
    let place = offset + (inTable ? table : 0)
    bytes.replaceSubrange(place..<(place + value.count), with: value)
    if inTable {
      var sum = CRC32C()
      sum.add(Array(bytes[table...]))
      bytes.replaceSubrange(48..<52, with: be32(sum.value))
    }
    var sum = CRC32C()
    sum.add(Array(bytes[..<12]) + [0, 0, 0, 0] + Array(bytes[16..<64]))
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
    digits.add(Array("123456789".utf8))
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

  /// Each bit of header and table counts.
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

  @Test func refusesMoreThanTheLimits() {
    let cases: [(Int, [UInt8], FormatError.Limit, UInt64)] = [
      (0, Self.be32(1025), .devices, 1025),
      (4, Self.be32(1 << 20 + 1), .deviceBuffers, 1 << 20 + 1),
      (Self.firstBuffer + 16, Self.be64(16 << 20 + 1), .deviceBufferBytes, 16 << 20 + 1),
    ]
    for (offset, value, limit, found) in cases {
      #expect {
        try Self.read(Self.changed(value, at: offset, inTable: true))
      } throws: { error in
        if case .overLimit(limit, found: found, _)? = (error as? FormatError)?.kind {
          true
        } else {
          false
        }
      }
    }
  }

  /// Nothing is read of a table that no limits allow.
  @Test func aTableThatIsTooLongIsRefusedBeforeItIsRead() throws {
    let bytes = Self.changed(Self.be64(1 << 40), at: 40)
    let longer = Self.changed(Self.be64(1 << 41), at: 24, of: bytes)
    var input = ByteInput(longer.span, at: Self.example.start)
    let header = try AreaHeader(parsing: &input, fileEnd: FileOffset(1 << 42))
    #expect {
      try DeviceArea.check(header)
    } throws: { error in
      if case .overLimit(.areaTableBytes, found: 1 << 40, _)? = (error as? FormatError)?.kind {
        true
      } else {
        false
      }
    }
  }

  @Test func theTableEndsTheArea() {
    let bytes = Self.bytes(Self.example)
    let shorter = Self.changed(Self.be64(UInt64(bytes.count) + 1), at: 24) + [0]
    #expect {
      try Self.read(shorter)
    } throws: { error in
      if case .deviceArea(.tableEnd)? = (error as? FormatError)?.kind { true } else { false }
    }
  }

  private static let first = FileOffset(0x1274)..<FileOffset(0x5000)

  static let table: [(Int, [UInt8], DeviceAreaProblem)] = [
    (0, be32(0), .noDevices),
    (firstDevice + 22, be32(0), .bufferCount(found: 0, most: 4)),
    (firstDevice + 22, be32(5), .bufferCount(found: 5, most: 4)),
    (firstDevice + 22, be32(.max), .bufferCount(found: .max, most: 4)),
    (firstDevice + 26, be64(4197), .byteTotal(found: 4197, expected: 4196)),
    // Numbers: repeated, missing, out of range.
    (firstBuffer, be32(1), .bufferNumber(found: 1, expected: 0)),
    (firstBuffer + nextBuffer, be32(0), .bufferNumber(found: 0, expected: 1)),
    (firstBuffer + 2 * nextBuffer, be32(3), .bufferNumber(found: 3, expected: 2)),
    (firstBuffer + 2 * nextBuffer, be32(.max), .bufferNumber(found: .max, expected: 2)),
    (firstBuffer + 4, be32(4), .bufferFlags(found: 4)),
    (firstBuffer + 4, be32(1), .lastTooEarly),
    (firstBuffer + 2 * nextBuffer + 4, be32(2), .lastMissing),
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

  @Test func everyProblemIsASentence() {
    let problems =
      Self.table.map(\.2) + [.deviceTwice, .tableEnd(found: 1, expected: 2)]
    for problem in problems {
      let text = "\(problem)"
      #expect(text.hasSuffix(".") && text.count > 20)
    }
  }
}
