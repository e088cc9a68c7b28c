import MappedRAMFormat
import Testing

@Suite struct ConfigurationSubsectionTests {
  let machine = ConfigurationTests.machine

  private func error(_ subsection: [UInt8]) throws -> FormatError {
    try failure(machine + subsection, Configuration.init(parsing:))
  }

  private func subsection(_ name: String, version: UInt32 = 1, _ body: [UInt8]) -> [UInt8] {
    [5] + counted("configuration/" + name) + be(version) + body
  }

  /// The place of the body of a subsection behind the machine type.
  private func body(_ name: String) -> FileOffset {
    FileOffset(UInt64(machine.count + 2 + "configuration/\(name)".utf8.count + 4))
  }

  @Test(arguments: [0, 2, .max] as [UInt32]) func otherVersionsAreRefused(_ version: UInt32) throws
  {
    #expect(
      try error(subsection("uuid", version: version, Array(0..<16)))
        == FormatError(
          .unsupportedSubsectionVersion(found: version), at: FileOffset(body("uuid").rawValue - 4),
          in: .configuration))
  }

  @Test func unknownSubsectionIsRefusedAtItsName() throws {
    #expect(
      try error(subsection("dessert", []))
        == FormatError(
          .unknownConfigurationSubsection("configuration/dessert"),
          at: FileOffset(UInt64(machine.count + 1)), in: .configuration))
  }

  @Test(arguments: [0, 9, 17, .max] as [UInt32]) func oddPageBitsAreRefused(_ bits: UInt32) throws {
    #expect(
      try error(subsection("target-page-bits", be(bits)))
        == FormatError(
          .targetPageBits(found: bits), at: body("target-page-bits"), in: .configuration))
  }

  @Test(arguments: [10, 16] as [UInt32]) func extremePageBitsAreRead(_ bits: UInt32) throws {
    let configuration = try parse(
      machine + subsection("target-page-bits", be(bits)), Configuration.init(parsing:))
    #expect(configuration.targetPageSize?.shift == Int(bits))
  }

  @Test(arguments: [0, 1, 256]) func upTo256CapabilitiesAreRead(_ count: Int) throws {
    let names = (0..<count).map { "capability-\($0)" }
    let bytes = machine + subsection("capabilities", be(UInt32(count)) + names.flatMap(counted))
    #expect(try parse(bytes, Configuration.init(parsing:)).capabilities == names)
    try expectRoundTrip(bytes, Configuration.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test(arguments: [257, .max] as [UInt32]) func moreAreRefused(_ count: UInt32) throws {
    #expect(
      try error(subsection("capabilities", be(count)))
        == FormatError(
          .overLimit(.capabilities, found: UInt64(count), limit: 256), at: body("capabilities"),
          in: .configuration))
  }

  @Test func capabilityWithoutANameIsRefused() throws {
    let error = try error(subsection("capabilities", be(UInt32(1)) + [0]))
    #expect(error.kind == .nameEmpty)
    #expect(error.offset == body("capabilities") + 5)
  }
}
