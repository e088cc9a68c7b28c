/// The CONFIGURATION section: what the destination must be like.
///
/// | size | byte order | meaning |
/// | --- | --- | --- |
/// | 1 | | 0x07 |
/// | 4 | big | length of the machine type's name |
/// | n | | machine type, as QEMU resolved it: `pc-q35-10.0` |
/// | … | | subsections: 0x05, one byte of length, name, version (4, big), body |
///
/// It has no section id and no footer. Source: QEMU v10.0.2, `migration/savevm.c`, `vmstate_configuration`.
public struct Configuration: Equatable, Sendable {
  /// The machine type with its version, 1 to 255 printable bytes.
  public var machineType: String
  /// The subsections in file order. QEMU writes them in the order of the enumeration's cases and reads any order.
  public var subsections: [Subsection]

  /// One of the subsections that QEMU knows.
  public enum Subsection: Equatable, Sendable {
    /// Binary logarithm of the target's page size; only for targets where it is not a constant, like Arm.
    case targetPageBits(UInt32)
    /// Names of the validated capabilities that were on at the source.
    case capabilities([String])
    /// The VM's UUID, 16 bytes in text order; only with the capability `validate-uuid`.
    case uuid([UInt8])
  }

  /// A configuration of its parts.
  public init(machineType: String, subsections: [Subsection]) {
    self.machineType = machineType
    self.subsections = subsections
  }

  /// The capabilities that the source had on.
  public var capabilities: [String] {
    subsections.flatMap { subsection -> [String] in
      if case .capabilities(let names) = subsection { names } else { [] }
    }
  }

  /// The target's page size, if the section gives it.
  public var targetPageSize: PageSize? {
    for case .targetPageBits(let bits) in subsections { return PageSize(byteCount: 1 << bits) }
    return nil
  }

  /// The VM's UUID, if the section gives it.
  public var uuid: [UInt8]? {
    for case .uuid(let bytes) in subsections { return bytes }
    return nil
  }

  /// Whether RAM is stored in fixed slots.
  public var isMappedRAM: Bool { capabilities.contains(Self.mappedRAMCapability) }

  /// Whether blocks carry the address of their memory region, and shared ones may be left out.
  public var ignoresShared: Bool { capabilities.contains(Self.ignoreSharedCapability) }

  /// The name of the capability that puts RAM into fixed slots.
  public static let mappedRAMCapability = "mapped-ram"
  /// The name of the capability that leaves shared RAM out.
  public static let ignoreSharedCapability = "x-ignore-shared"
}

extension Configuration {
  /// Reads the section, its type byte included.
  ///
  /// - Throws: `truncated`, `missingConfiguration`, `overLimit`, or what is wrong in a subsection.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let start = input.offset
    let type = try input.readBigEndian(UInt8.self, in: .configuration)
    guard type == SectionType.configuration.rawValue else {
      throw FormatError(.missingConfiguration(found: type), at: start, in: .configuration)
    }
    let lengthOffset = input.offset
    let length = try input.readBigEndian(UInt32.self, in: .configuration)
    guard length <= ImageLimits.nameBytes else {
      throw FormatError(
        .overLimit(.nameBytes, found: UInt64(length), limit: UInt64(ImageLimits.nameBytes)),
        at: lengthOffset, in: .configuration)
    }
    machineType = try input.readName(Int(length), in: .configuration)
    subsections = []
    while Self.subsectionFollows(in: input) {
      subsections.append(try Subsection(parsing: &input))
    }
  }

  /// Whether the next bytes are a subsection of the configuration: QEMU's own reader peeks in the same way.
  private static func subsectionFollows(in input: borrowing ByteInput) -> Bool {
    guard input.peek() == SectionType.subsection.rawValue, let length = input.peek(1) else {
      return false
    }
    let prefix = Array(Subsection.namePrefix.utf8)
    guard Int(length) >= prefix.count else { return false }
    return prefix.indices.allSatisfy { input.peek(2 + $0) == prefix[$0] }
  }

  /// Makes sure that a reader takes the section: the checks of `init(parsing:)`, for a configuration that came from elsewhere.
  ///
  /// - Throws: a name's errors, `overLimit`, `targetPageBits`, `uuidLength`; the offset is `offset`.
  public func check(at offset: FileOffset) throws(FormatError) {
    try machineType.checkName(at: offset, in: .configuration)
    for subsection in subsections { try subsection.check(at: offset) }
  }

  /// Appends the section's bytes.
  ///
  /// - Precondition: `check(at:)` finds nothing wrong with it.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(SectionType.configuration.rawValue)
    output.writeBigEndian(UInt32(machineType.utf8.count))
    output.write(machineType.utf8)
    for subsection in subsections { subsection.encode(into: &output) }
  }
}
