import MappedRAMFormat
import TestSupport
import Testing

/// Descriptions that we write.
@Suite struct DescriptionMakingTests {
  private static let configuration = Configuration.mappedRAM(
    machineType: "pc-q35-10.0", targetPageBits: 12, uuid: Array(0..<16))

  @Test func textIsWrittenAsQEMUDoes() throws {
    let text = #"{"a": [1, -2, 18446744073709551615, true, null, {}], "b\"\\": "x\u00e9\u000a"}"#
    let value = try JSONValue(parsing: ascii(text))
    #expect(value.text == text)
    #expect(
      try JSONValue(parsing: Array(JSONValue.string("\u{1F600}").text.utf8)) == .string("\u{1F600}")
    )
    #expect(try JSONValue(parsing: Array(JSONValue.number(1.5).text.utf8)) == .number(1.5))
  }

  /// The part that QEMU 10.0.2 wrote for a machine with page bits and a UUID, put together of two fixtures.
  @Test func theConfigurationIsDescribedAsQEMUDoes() throws {
    let made = try DeviceDescription(
      opaque: [], configuration: Self.configuration, pageSize: .fourKiB)
    let expected =
      #"{"configuration": {"vmsd_name": "configuration", "version": 1, "fields": [{"name": "len", "type": "uint32", "#
      + #""size": 4}, {"name": "name", "type": "buffer", "size": 11}], "subsections": [{"vmsd_name": "#
      + #""configuration/target-page-bits", "version": 1, "fields": [{"name": "target_page_bits", "type": "#
      + #""uint32", "size": 4}]}, {"vmsd_name": "configuration/capabilities", "version": 1, "fields": [{"name": "#
      + #""caps_count", "type": "uint32", "size": 4}, {"name": "capabilities", "type": "capability", "size": 11}]}, "#
      + #"{"vmsd_name": "configuration/uuid", "version": 1, "fields": [{"name": "uuid.data", "array_len": 16, "#
      + #""type": "uint8", "size": 1}]}]}, "page_size": 4096, "devices": []}"#
    #expect(String(decoding: made.text, as: UTF8.self) == expected)
  }

  /// What is said of the section is as long as the section.
  @Test(arguments: [["mapped-ram"], ["x-ignore-shared", "mapped-ram"], []])
  func theConfigurationHasItsLength(_ capabilities: [String]) throws {
    let configuration = Configuration(
      machineType: "microvm", subsections: [.capabilities(capabilities)])
    let made = try DeviceDescription(
      opaque: [], configuration: configuration, pageSize: .fourKiB)
    let bytes = encoded { configuration.encode(into: &$0) }
    #expect(made.configuration?.byteCount == ByteCount(bytes.count - 1))
  }

  @Test func opaqueDevicesHaveTheirLengths() throws {
    let devices = [("timer", UInt32(0), 24), ("0000:00:1f.2/ahci", .max, 0), ("timer", 1, 70_000)]
      .map { (SectionIdentity(idstr: $0, instanceID: $1, version: 2), ByteCount($2)) }
    let made = try DeviceDescription(
      opaque: devices.map { (identity: $0.0, bodyBytes: $0.1) },
      configuration: Self.configuration, pageSize: try #require(PageSize(byteCount: 8192)))
    #expect(made.pageSize?.byteCount == 8192)
    #expect(made.devices.map(\.name) == devices.map(\.0.idstr))
    #expect(made.devices.map(\.instanceID) == devices.map(\.0.instanceID))
    for (device, (_, bytes)) in zip(made.devices, devices) {
      #expect(try DeviceDescription.bodyLength(of: device) == bytes)
      let body = [UInt8](repeating: 7, count: Int(bytes.rawValue))
      _ = try parse(body) { (input) throws(FormatError) in
        #expect(DeviceStateDecoder.decode(device, from: &input).problem == nil)
        #expect(input.remaining == 0)
      }
    }
  }

  @Test func onlyTheConfigurationIsReplaced() throws {
    let text =
      #"{"devices": [], "configuration": {"vmsd_name": "c", "version": 1, "fields": []}, "x": 1}"#
    let made = try DeviceDescription(text: ascii(text)).replacing(Self.configuration)
    let value = try JSONValue(parsing: made.text)
    #expect(value["x"] == .integer(1) && value["devices"] == .array([]))
    #expect(made.configuration?.subsections.count == 3)
    let without = try DeviceDescription(text: ascii(#"{"devices": []}"#))
    let added = try without.replacing(Self.configuration)
    #expect(added.configuration == made.configuration)
  }

  /// The statement is added, once, and nothing else is changed.
  @Test(arguments: ["", #", "x-mapped-ram": {"absent-slots": "unknown"}"#, #", "x-mapped-ram": 7"#])
  func zeroSlotsAreStated(before: String) throws {
    let text = #"{"page_size": 4096, "devices": []"# + before + "}"
    let description = try DeviceDescription(text: ascii(text))
    #expect(!description.absentSlotsAreZero)
    let stating = try description.statingThatAbsentSlotsAreZero()
    #expect(stating.absentSlotsAreZero)
    #expect(
      String(decoding: stating.text, as: UTF8.self)
        == #"{"page_size": 4096, "devices": [], "x-mapped-ram": {"absent-slots": "zero"}}"#)
    #expect(try stating.statingThatAbsentSlotsAreZero() == stating)
    let withdrawn = try stating.withdrawingThatAbsentSlotsAreZero()
    #expect(!withdrawn.absentSlotsAreZero && withdrawn.text.count == stating.text.count)
    #expect(withdrawn.text.starts(with: ascii(#"{"page_size": 4096, "devices": []} "#)))
  }
}
