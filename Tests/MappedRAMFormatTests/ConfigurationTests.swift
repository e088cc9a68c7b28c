import MappedRAMFormat
import Testing

@Suite struct ConfigurationTests {
  static let machine = [7] + be(UInt32(11)) + ascii("pc-q35-10.0")
  static let pageBits =
    [5] + counted("configuration/target-page-bits") + be(UInt32(1)) + be(UInt32(12))
  static let capabilities =
    [5] + counted("configuration/capabilities") + be(UInt32(1)) + be(UInt32(2))
    + counted("x-ignore-shared") + counted("mapped-ram")
  static let uuid = [5] + counted("configuration/uuid") + be(UInt32(1)) + (0..<16)

  @Test func readsAllThreeSubsections() throws {
    let bytes = Self.machine + Self.pageBits + Self.capabilities + Self.uuid
    let configuration = try parse(bytes, Configuration.init(parsing:))
    #expect(configuration.machineType == "pc-q35-10.0")
    #expect(configuration.targetPageSize == .fourKiB)
    #expect(configuration.capabilities == ["x-ignore-shared", "mapped-ram"])
    #expect(configuration.uuid == Array(0..<16))
    #expect(configuration.isMappedRAM)
    #expect(configuration.ignoresShared)
    try expectRoundTrip(bytes, Configuration.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test func orderOfSubsectionsIsKept() throws {
    let bytes = Self.machine + Self.uuid + Self.capabilities + Self.pageBits
    try expectRoundTrip(bytes, Configuration.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test func subsectionsMayBeAbsent() throws {
    try expectRoundTrip(Self.machine, Configuration.init(parsing:)) { $0.encode(into: &$1) }
    let configuration = try parse(Self.machine, Configuration.init(parsing:))
    #expect(configuration.capabilities == [])
    #expect(configuration.targetPageSize == nil)
    #expect(configuration.uuid == nil)
    #expect(!configuration.isMappedRAM)
    #expect(!configuration.ignoresShared)
  }

  @Test func endsBeforeAnythingThatIsNoSubsectionOfIts() throws {
    let others: [[UInt8]] = [
      [1, 0, 0, 0, 1], [5], [5, 12] + ascii("configuratio"), [5] + counted("cpu/fpu"),
    ]
    for other in others {
      let left = try parse(Self.machine + Self.uuid + other) { (input) throws(FormatError) in
        _ = try Configuration(parsing: &input)
        return input.remaining
      }
      #expect(left == other.count)
    }
  }

  /// Cut between subsections the section is whole; cut in the name of one, it ends before it.
  @Test func everyOtherPrefixIsCutOff() throws {
    let parts = [Self.machine, Self.pageBits, Self.capabilities, Self.uuid]
    try expectTruncation(of: Self.machine, Configuration.init(parsing:))
    var before = Self.machine
    for part in parts.dropFirst() {
      let whole = try parse(before, Configuration.init(parsing:))
      let nameEnd = 2 + "configuration".utf8.count
      for count in 1..<nameEnd {
        #expect(try parse(before + part.prefix(count), Configuration.init(parsing:)) == whole)
      }
      try expectTruncation(
        of: before + part, from: before.count + nameEnd, Configuration.init(parsing:))
      before += part
    }
  }

  @Test func machineTypeHas1To255Bytes() throws {
    for count in [1, 255] {
      let bytes = [7] + be(UInt32(count)) + [UInt8](repeating: 0x61, count: count)
      try expectRoundTrip(bytes, Configuration.init(parsing:)) { $0.encode(into: &$1) }
    }
    #expect(
      try failure([7, 0, 0, 0, 0, 1], Configuration.init(parsing:))
        == FormatError(.nameEmpty, at: 5, in: .configuration))
    for count in [256, UInt32.max] {
      #expect(
        try failure([7] + be(count), at: 8, Configuration.init(parsing:))
          == FormatError(
            .overLimit(.nameBytes, found: UInt64(count), limit: 255), at: 9, in: .configuration))
    }
  }

  @Test func otherSectionTypesAreRefused() throws {
    for type in UInt8.min...UInt8.max where type != 7 {
      #expect(
        try failure([type] + Self.machine.dropFirst(), at: 8, Configuration.init(parsing:))
          == FormatError(.missingConfiguration(found: type), at: 8, in: .configuration))
    }
  }
}
