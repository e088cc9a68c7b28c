@testable import MappedRAMFormat
import Testing

@Suite struct DeviceStateDecoderTests {
  /// Decodes `bytes`, which stand at 0x100, as the state of a device with these fields.
  static func decode(
    _ bytes: [UInt8], _ fields: [DescribedField], _ subsections: [DescribedState] = []
  ) -> (device: DecodedDevice, end: FileOffset) {
    let state = DescribedState(name: "v", version: 1, fields: fields, subsections: subsections)
    let device = DescribedDevice(name: "dev", instanceID: 0, state: state)
    var input = ByteInput(bytes.span, at: 0x100)
    let decoded = DeviceStateDecoder.decode(device, from: &input)
    return (decoded, input.offset)
  }

  private func value(_ type: String, _ bytes: [UInt8]) -> DecodedValue? {
    let field = DescribedField(name: "x", type: type, size: ByteCount(bytes.count))
    let (device, end) = Self.decode(bytes, [field])
    #expect(device.problem == nil)
    #expect(end == FileOffset(0x100) + ByteCount(bytes.count))
    return device.state.fields.first?.value
  }

  @Test(
    arguments: [
      ("uint8", [0xFE], .unsigned(0xFE)), ("uint16", [1, 2], .unsigned(0x0102)),
      ("uint32", [0xFF, 0, 0, 1], .unsigned(0xFF00_0001)),
      ("uint64", [UInt8](repeating: 0xFF, count: 8), .unsigned(.max)),
      ("int8", [0xFE], .signed(-2)), ("int16", [0x80, 0], .signed(-32768)),
      ("int32", [0xFF, 0xFF, 0xFF, 0xFE], .signed(-2)),
      ("int64", [0x80] + [UInt8](repeating: 0, count: 7), .signed(.min)),
      ("timer", [UInt8](repeating: 0xFF, count: 8), .signed(-1)),
      ("int32 le", [0, 0, 0, 2], .signed(2)), ("int32 equal", [0, 0, 0, 2], .signed(2)),
      ("int64 equal", [0, 0, 0, 0, 0, 0, 0, 2], .signed(2)), ("uint8 equal", [7], .unsigned(7)),
      ("uint32 equal", [0, 0, 0, 2], .unsigned(2)),
      ("bool", [0], .bool(false)), ("bool", [1], .bool(true)), ("bool", [2], .unsigned(2)),
      ("nullptr", [0x30], .absent), ("nullptr", [0x31], .bytes([0x31])),
      ("struct", [0x30], .absent), ("struct", [1, 2], .bytes([1, 2])),
      ("buffer", [1, 2, 3], .bytes([1, 2, 3])), ("unused_buffer", [], .bytes([])),
      ("pci config", [0x86, 0x80], .bytes([0x86, 0x80])), ("virtio", [9], .bytes([9])),
      ("capability", [3, 1], .bytes([3, 1])), ("bitmap", [1, 0], .bytes([1, 0])),
      ("unknown", [1], .bytes([1])), ("no such type", [1, 2, 3], .bytes([1, 2, 3])),
      ("uint32", [1, 2, 3], .bytes([1, 2, 3])), ("bool", [1, 1], .bytes([1, 1])),
    ] as [(String, [UInt8], DecodedValue)])
  func typesHaveTheirValues(_ type: String, _ bytes: [UInt8], _ expected: DecodedValue) {
    #expect(value(type, bytes) == expected)
  }

  @Test func arraysAreExpanded() {
    let field = DescribedField(name: "x", type: "uint16", size: 2, extent: .array(count: 3))
    let (device, _) = Self.decode([0, 1, 0, 2, 0, 3], [field])
    #expect(
      device.state.fields == [
        DecodedField(
          name: "x", type: "uint16", value: .array([.unsigned(1), .unsigned(2), .unsigned(3)]),
          range: 0x100..<0x106)
      ])
    let none = DescribedField(name: "x", type: "uint16", size: 2, extent: .array(count: 0))
    #expect(Self.decode([9], [none]).device.state.fields.map(\.value) == [.array([])])
    #expect(Self.decode([9], [none]).end == 0x100)
  }

  @Test func structuresNestAndKnowTheirPlaces() {
    let inner = DescribedState(
      name: "inner", version: 2,
      fields: [
        DescribedField(name: "a", type: "uint8", size: 1),
        DescribedField(name: "b", type: "uint16", size: 2),
      ])
    let fields = [
      DescribedField(name: "s", type: "struct", size: 3, extent: .array(count: 2), state: inner),
      DescribedField(name: "e", type: "struct", size: 3, extent: .element(index: 5), state: inner),
    ]
    let (device, end) = Self.decode([1, 0, 2, 3, 0, 4, 5, 0, 6], fields)
    func structure(_ a: UInt64, _ b: UInt64, at start: FileOffset) -> DecodedValue {
      .structure(
        DecodedState(
          name: "inner", version: 2,
          fields: [
            DecodedField(name: "a", type: "uint8", value: .unsigned(a), range: start..<(start + 1)),
            DecodedField(
              name: "b", type: "uint16", value: .unsigned(b), range: (start + 1)..<(start + 3)),
          ],
          subsections: [], range: start..<(start + 3)))
    }
    #expect(device.problem == nil)
    #expect(end == 0x109)
    #expect(device.state.range == 0x100..<0x109)
    #expect(
      device.state.fields == [
        DecodedField(
          name: "s", type: "struct",
          value: .array([structure(1, 2, at: 0x100), structure(3, 4, at: 0x103)]),
          range: 0x100..<0x106),
        DecodedField(
          name: "e", index: 5, type: "struct", value: structure(5, 6, at: 0x106),
          range: 0x106..<0x109),
      ])
  }

  @Test func subsectionsFollowTheFields() throws {
    let inner = DescribedState(
      name: "v/a/b", version: 3, fields: [DescribedField(name: "z", type: "uint8", size: 1)])
    let outer = DescribedState(
      name: "v/a", version: 1, fields: [DescribedField(name: "y", type: "uint8", size: 1)],
      subsections: [inner])
    let bytes: [UInt8] =
      [1, 5] + counted("v/a") + be(UInt32(1)) + [2, 5] + counted("v/a/b") + be(UInt32(3)) + [3]
    let (device, end) = Self.decode(
      bytes, [DescribedField(name: "x", type: "uint8", size: 1)], [outer])
    #expect(device.problem == nil)
    #expect(end == FileOffset(0x100) + ByteCount(bytes.count))
    let subsection = try #require(device.state.subsections.first)
    #expect(subsection.name == "v/a")
    #expect(subsection.range == 0x101..<end)
    #expect(subsection.fields.map(\.range) == [0x10A..<0x10B])
    #expect(subsection.subsections.map(\.version) == [3])
    #expect(subsection.subsections.flatMap(\.fields).map(\.value) == [.unsigned(3)])
  }

  /// The bytes of the three pending channel reports of an s390x machine, as QEMU 10.0.2 wrote them.
  @Test func listsHaveAMarkBeforeEachElement() {
    let word = DescribedState(
      name: "crw", version: 1, fields: [DescribedField(name: "flags", type: "uint32", size: 4)])
    let bytes: [UInt8] = [1, 3, 4, 0, 0, 1, 3, 4, 0, 1, 1, 3, 4, 0, 2, 0]
    let list = DescribedField(name: "x", type: "qtailq", size: 16, list: [word, word, word])
    let (device, end) = Self.decode(bytes, [list])
    #expect(device.problem == nil)
    #expect(end == 0x110)
    guard case .array(let elements) = device.state.fields.first?.value else {
      Issue.record("\(device)")
      return
    }
    let values = elements.map { element -> [DecodedValue] in
      if case .structure(let state) = element { state.fields.map(\.value) } else { [] }
    }
    #expect(
      values == [[.unsigned(0x0304_0000)], [.unsigned(0x0304_0001)], [.unsigned(0x0304_0002)]])
    let empty = DescribedField(name: "x", type: "qlist", size: 1, list: [])
    #expect(Self.decode([0], [empty]).device.state.fields.map(\.value) == [.array([])])
  }
}
