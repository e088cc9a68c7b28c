import MappedRAMFormat
import Testing

@Suite("Shape of a device description") struct DescriptionShapeTests {
  private static let timer = """
    {"name":"timer","instance_id":0,"vmsd_name":"timer","version":2,"fields":[\
    {"name":"x","type":"struct","size":8,"struct":{"vmsd_name":"v","version":1,"fields":[]}}],\
    "subsections":[{"vmsd_name":"s","version":1,"fields":[]}]}
    """

  /// A description in which `old` is replaced by `new` in the second of two devices.
  private func text(_ old: String, _ new: String) throws -> String {
    let range = try #require(Self.timer.firstRange(of: old))
    let changed = Self.timer[..<range.lowerBound] + new + Self.timer[range.upperBound...]
    return "{\"page_size\":4096,\"devices\":[\(Self.timer),\(changed)]}"
  }

  private func expect(
    _ text: String, _ path: String, _ expected: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(
      throws: FormatError(
        .descriptionShape(path: path, expected: expected), at: 0x40, in: .description),
      sourceLocation: sourceLocation
    ) { try DeviceDescription(text: ascii(text), at: 0x40) }
  }

  @Test func unchangedTextIsRead() throws {
    #expect(try DeviceDescriptionTests.description(text("timer", "timer")).devices.count == 2)
  }

  @Test(arguments: ["null", "[]", "1", "\"x\"", "true"]) func rootIsAnObject(_ root: String) {
    expect(root, "the text", "an object")
  }

  @Test func devicesAreAnArrayOfObjects() {
    expect("{}", "devices", "there")
    expect("{\"devices\":{}}", "devices", "an array")
    expect("{\"devices\":[{},1]}", "devices[0].name", "there")
    expect("{\"devices\":[1]}", "devices[0]", "an object")
    expect("{\"devices\":[],\"devices\":[]}", "devices", "the only member of its name")
  }

  @Test func pageSizeIsOneThatExists() throws {
    for size in ["0", "-1", "512", "4097", "131072", "4096.0", "\"4096\"", "null"] {
      expect(
        "{\"page_size\":\(size),\"devices\":[]}", "page_size", "a power of two from 1024 to 65536")
    }
    for size in [1024, 65536] as [UInt64] {
      let description = try DeviceDescriptionTests.description(
        "{\"page_size\":\(size),\"devices\":[]}")
      #expect(description.pageSize == PageSize(byteCount: size))
    }
  }

  @Test(arguments: [
    ("\"name\":\"timer\"", "\"name\":7", "name", "a name of 1 to 255 printable bytes"),
    ("\"name\":\"timer\"", "\"name\":\"\"", "name", "a name of 1 to 255 printable bytes"),
    ("\"name\":\"timer\"", "\"name\":\"é\"", "name", "a name of 1 to 255 printable bytes"),
    ("\"instance_id\":0,", "", "instance_id", "there"),
    ("\"instance_id\":0", "\"instance_id\":-1", "instance_id", "an integer from 0 to 2^32 - 1"),
    (
      "\"instance_id\":0", "\"instance_id\":4294967296", "instance_id",
      "an integer from 0 to 2^32 - 1"
    ),
    ("\"version\":2", "\"version\":2147483648", "version", "an integer of 32 bits"),
    ("\"version\":2", "\"version\":\"2\"", "version", "an integer of 32 bits"),
    ("\"fields\":[{", "\"fields\":{},\"old\":[{", "fields", "an array"),
    ("\"name\":\"x\",", "", "fields[0].name", "there"),
    ("\"name\":\"x\"", "\"name\":null", "fields[0].name", "a string"),
    ("\"type\":\"struct\"", "\"type\":1", "fields[0].type", "a string"),
    ("\"size\":8,", "", "fields[0].size", "there"),
    ("\"size\":8", "\"size\":-8", "fields[0].size", "an integer from 0 to 2^64 - 1"),
    ("\"size\":8", "\"size\":8,\"size\":9", "fields[0].size", "the only member of its name"),
    (
      "\"size\":8", "\"size\":8,\"array_len\":1.5", "fields[0].array_len",
      "an integer from 0 to 2^64 - 1"
    ),
    (
      "\"size\":8", "\"size\":8,\"array_len\":1,\"index\":0", "fields[0].index",
      "alone, without array_len"
    ),
    ("\"struct\":{", "\"struct\":[],\"old\":{", "fields[0].struct", "an object"),
    (
      "\"vmsd_name\":\"v\"", "\"vmsd_name\":1", "fields[0].struct.vmsd_name",
      "a name of 1 to 255 printable bytes"
    ),
    ("\"vmsd_name\":\"s\",", "", "subsections[0].vmsd_name", "there"),
    ("\"subsections\":[{", "\"subsections\":1,\"old\":[{", "subsections", "an array"),
  ])
  func membersHaveTheirKinds(
    _ old: String, _ new: String, _ path: String, _ expected: String
  ) throws {
    expect(try text(old, new), "devices[1]." + path, expected)
  }

  @Test func extremesAreRead() throws {
    let description = try DeviceDescriptionTests.description(
      text(
        "\"version\":2,\"fields\":[{\"name\":\"x\",\"type\":\"struct\",\"size\":8",
        "\"version\":-2147483648,\"fields\":[{\"name\":\"\",\"type\":\"\",\"size\":18446744073709551615"
      ))
    let state = description.devices[1].state
    #expect(state.version == .min)
    #expect(state.fields == [DescribedField(name: "", type: "", size: ByteCount(UInt64.max))])
  }
}
