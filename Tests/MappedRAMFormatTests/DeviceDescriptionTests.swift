import MappedRAMFormat
import Testing

@Suite struct DeviceDescriptionTests {
  /// A description with each thing that QEMU 10.0.2 writes, cut down from those of real images.
  static let text = """
    {"configuration": {"vmsd_name": "configuration", "version": 1, "fields": [{"name": "len", \
    "type": "uint32", "size": 4}, {"name": "name", "type": "buffer", "size": 11}]}, \
    "page_size": 4096, "devices": [\
    {"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": [\
    {"name": "cpu_ticks_offset", "type": "int64", "size": 8}]}, \
    {"name": "cpu", "instance_id": 1, "vmsd_name": "cpu", "version": 12, "fields": [\
    {"name": "regs", "array_len": 2, "type": "uint64", "size": 8}, \
    {"name": "bus", "index": 1, "type": "struct", "struct": {"vmsd_name": "bus", "version": 0, \
    "fields": [{"name": "irq", "type": "uint8", "size": 1}]}, "size": 1}, \
    {"name": "tmp", "type": "tmp", "vmsd_name": "fpreg_tmp", "version": 0, "fields": [\
    {"name": "exp", "type": "uint16", "size": 2}], "size": 2}, \
    {"name": "crws", "type": "qtailq", "vmsd_name": "crw", "version": 1, "fields": [\
    {"name": "f", "type": "uint16", "size": 2}], "vmsd_name": "crw", "version": 1, "fields": [\
    {"name": "f", "type": "uint16", "size": 2}], "size": 7}, \
    {"name": "css", "type": "struct", "struct": {}, "size": 1}], \
    "subsections": [{"vmsd_name": "cpu/fpu", "version": 1, "fields": [\
    {"name": "x", "type": "uint32", "size": 4}], "subsections": [\
    {"vmsd_name": "cpu/fpu/y", "version": 3, "fields": []}]}]}, \
    {"name": "old", "instance_id": 4294967295, "size": 5, "fields": [\
    {"name": "data", "size": 5, "type": "buffer"}]}]}
    """

  static func description(_ text: String) throws(FormatError) -> DeviceDescription {
    try DeviceDescription(text: ascii(text))
  }

  @Test func readsWhatQEMUWrites() throws {
    let description = try Self.description(Self.text)
    #expect(description.pageSize == .fourKiB)
    #expect(description.configuration?.name == "configuration")
    #expect(description.configuration?.fields.map(\.size) == [4, 11])
    #expect(description.devices.map(\.name) == ["timer", "cpu", "old"])
    #expect(description.devices.map(\.instanceID) == [0, 1, .max])
    #expect(description.devices.map(\.opaqueSize) == [nil, nil, 5])
    #expect(description.devices.map(\.state.version) == [2, 12, 0])
    let word = DescribedState(
      name: "crw", version: 1, fields: [DescribedField(name: "f", type: "uint16", size: 2)])
    #expect(
      description.devices[1].state.fields == [
        DescribedField(name: "regs", type: "uint64", size: 8, extent: .array(count: 2)),
        DescribedField(
          name: "bus", type: "struct", size: 1, extent: .element(index: 1),
          state: DescribedState(
            name: "bus", version: 0, fields: [DescribedField(name: "irq", type: "uint8", size: 1)]
          )),
        DescribedField(
          name: "tmp", type: "tmp", size: 2,
          state: DescribedState(
            name: "fpreg_tmp", version: 0,
            fields: [DescribedField(name: "exp", type: "uint16", size: 2)])),
        DescribedField(name: "crws", type: "qtailq", size: 7, list: [word, word]),
        DescribedField(name: "css", type: "struct", size: 1),
      ])
    #expect(
      description.devices[1].state.subsections == [
        DescribedState(
          name: "cpu/fpu", version: 1,
          fields: [DescribedField(name: "x", type: "uint32", size: 4)],
          subsections: [DescribedState(name: "cpu/fpu/y", version: 3, fields: [])])
      ])
  }

  @Test func keepsTheTextVerbatim() throws {
    let text = ascii("{ \"devices\" :[ ] ,\"new\":1.50e0}\n")
    let bytes = [6] + be(UInt32(text.count)) + text
    try expectRoundTrip(bytes, DeviceDescription.init(parsing:)) { $0.encode(into: &$1) }
    #expect(try parse(bytes, DeviceDescription.init(parsing:)).text == text)
    let real = [6] + be(UInt32(Self.text.utf8.count)) + ascii(Self.text)
    try expectRoundTrip(real, DeviceDescription.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test func everyPrefixIsCutOff() throws {
    let bytes = [6] + be(UInt32(Self.text.utf8.count)) + ascii(Self.text)
    try expectTruncation(of: bytes, DeviceDescription.init(parsing:))
  }

  @Test func onlyTheDevicesMustBeThere() throws {
    let description = try Self.description("{\"devices\":[]}")
    #expect(description.devices == [])
    #expect(description.pageSize == nil)
    #expect(description.configuration == nil)
  }

  @Test func otherSectionTypesAreRefused() throws {
    for byte in UInt8.min...UInt8.max where byte != 6 {
      let kind: FormatError.Kind =
        SectionType(rawValue: byte).map { .misplacedSection($0) } ?? .unknownSectionType(byte)
      #expect(
        try failure([byte, 0, 0, 0, 2, 0x7B, 0x7D], at: 9, DeviceDescription.init(parsing:))
          == FormatError(kind, at: 9, in: .description))
    }
  }

  @Test(arguments: [16 << 20 + 1, .max] as [UInt32])
  func lengthOverTheLimitIsRefused(_ length: UInt32) throws {
    #expect(
      try failure([6] + be(length), at: 9, DeviceDescription.init(parsing:))
        == FormatError(
          .overLimit(.descriptionBytes, found: UInt64(length), limit: 16 << 20), at: 10,
          in: .description))
  }

  @Test func longTextIsRefusedBeforeItIsRead() {
    let text = [UInt8](repeating: 0x20, count: 16 << 20 + 1)
    #expect(
      throws: FormatError(
        .overLimit(.descriptionBytes, found: 16 << 20 + 1, limit: 16 << 20), at: 7,
        in: .description)
    ) { try DeviceDescription(text: text, at: 7) }
  }

  @Test func wrongByteIsNamedByItsPlaceInTheFile() throws {
    let bytes = [6] + be(UInt32(13)) + ascii("{\"devices\":?}")
    #expect(
      try failure(bytes, at: 0x100, DeviceDescription.init(parsing:))
        == FormatError(.description(.unexpectedByte(0x3F)), at: 0x110, in: .description))
  }
}
