extension Configuration.Subsection {
  static let namePrefix = "configuration"

  /// The subsection's name in the file.
  public var name: String {
    switch self {
    case .targetPageBits: "configuration/target-page-bits"
    case .capabilities: "configuration/capabilities"
    case .uuid: "configuration/uuid"
    }
  }

  /// The version of all three.
  static let version: UInt32 = 1

  /// Reads a subsection, its type byte included.
  ///
  /// - Throws: `truncated`, `unknownConfigurationSubsection`, `unsupportedSubsectionVersion`, `overLimit`,
  ///   `targetPageBits`.
  init(parsing input: inout ByteInput) throws(FormatError) {
    try input.skip(1, in: .configuration)
    let nameOffset = input.offset
    let name = try input.readCountedName(in: .configuration)
    let versionOffset = input.offset
    let version = try input.readBigEndian(UInt32.self, in: .configuration)
    guard version == Self.version else {
      throw FormatError(
        .unsupportedSubsectionVersion(found: version), at: versionOffset, in: .configuration)
    }
    switch name {
    case "configuration/target-page-bits":
      let bitsOffset = input.offset
      self = .targetPageBits(try input.readBigEndian(UInt32.self, in: .configuration))
      try check(at: bitsOffset)
    case "configuration/capabilities":
      self = .capabilities(try Self.parseCapabilities(&input))
    case "configuration/uuid":
      self = .uuid(try input.readBytes(16, in: .configuration))
    default:
      throw FormatError(
        .unknownConfigurationSubsection(name), at: nameOffset, in: .configuration)
    }
  }

  private static func parseCapabilities(
    _ input: inout ByteInput
  ) throws(FormatError) -> [String] {
    let countOffset = input.offset
    let count = try input.readBigEndian(UInt32.self, in: .configuration)
    try checkCapabilityCount(Int(count), at: countOffset)
    var names: [String] = []
    for _ in 0..<count { names.append(try input.readCountedName(in: .configuration)) }
    return names
  }

  private static func checkCapabilityCount(
    _ count: Int, at offset: FileOffset
  ) throws(FormatError) {
    guard count <= ImageLimits.capabilities else {
      throw FormatError(
        .overLimit(.capabilities, found: UInt64(count), limit: UInt64(ImageLimits.capabilities)),
        at: offset, in: .configuration)
    }
  }

  /// Makes sure that a reader takes the subsection.
  func check(at offset: FileOffset) throws(FormatError) {
    switch self {
    case .targetPageBits(let bits):
      guard PageSize.shifts.contains(Int(bits)) else {
        throw FormatError(.targetPageBits(found: bits), at: offset, in: .configuration)
      }
    case .capabilities(let names):
      try Self.checkCapabilityCount(names.count, at: offset)
      for name in names { try name.checkName(at: offset, in: .configuration) }
    case .uuid(let bytes):
      guard bytes.count == 16 else {
        throw FormatError(.uuidLength(found: bytes.count), at: offset, in: .configuration)
      }
    }
  }

  /// Appends the subsection's bytes.
  func encode(into output: inout ByteOutput) {
    output.writeBigEndian(SectionType.subsection.rawValue)
    output.writeCountedName(name)
    output.writeBigEndian(Self.version)
    switch self {
    case .targetPageBits(let bits):
      output.writeBigEndian(bits)
    case .capabilities(let names):
      output.writeBigEndian(UInt32(names.count))
      for name in names { output.writeCountedName(name) }
    case .uuid(let bytes):
      output.write(bytes)
    }
  }
}
