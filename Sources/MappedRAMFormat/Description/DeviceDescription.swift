/// The device description at the end of a stream: JSON text that says which fields the sections of devices have.
///
/// | size | byte order | meaning |
/// | --- | --- | --- |
/// | 1 | | 0x06 |
/// | 4 | big | length of the text |
/// | n | | JSON, in ASCII, without a zero byte |
///
/// It follows the EOF byte and ends the file, unless the machine property `suppress-vmdesc` left it out. QEMU's loader
/// passes over it. RAM and other sections with START and END are not in it. Sources: QEMU v10.0.2, `migration/savevm.c`;
/// files of seven architectures.
///
/// The array of capabilities in `configuration` is described wrongly where the names differ in length (QEMU 10.0.2,
/// observed): read that section with `Configuration`.
public struct DeviceDescription: Equatable, Sendable {
  /// The text as it stands in the file.
  public let text: [UInt8]
  /// The size of the target's pages, if the text gives it.
  public let pageSize: PageSize?
  /// What is in the CONFIGURATION section, if the text says so.
  package let configuration: DescribedState?
  /// The devices, in the order of their sections.
  package let devices: [DescribedDevice]
  /// Whether the text says that the slot of each absent page holds zeros or is a hole: a statement of ours (FORMAT.md, section 8.4).
  /// It is the writer's; nothing here has looked into the slots.
  public let absentSlotsAreZero: Bool

  /// The bytes before the text.
  public static let headByteCount = 5

  /// Reads `text`, which stands at `offset` in its file.
  ///
  /// - Complexity: O(bytes of the text).
  /// - Throws: `overLimit`; `description` at the first byte that is not JSON; `descriptionShape`, where the offset is the
  ///   text's.
  package init(text: [UInt8], at offset: FileOffset = .zero) throws(FormatError) {
    let limit = ImageLimits.descriptionBytes
    guard ByteCount(text.count) <= limit else {
      throw Self.overLimit(ByteCount(text.count), at: offset)
    }
    let root = try Self.value(of: text, at: offset)
    self.text = text
    do throws(DescriptionShapeError) {
      let object = try DescriptionObject(root)
      pageSize = try object.optional("page_size", DescriptionObject.pageSize)
      configuration = try object.optional("configuration", DescribedState.init(description:))
      devices = try object.required(
        "devices", DescriptionObject.list(DescribedDevice.init(description:)))
      absentSlotsAreZero =
        try object.optional(Self.ownMember.name) { (value) throws(DescriptionShapeError) in
          value == Self.ownMember.value
        } ?? false
    } catch {
      throw error.formatError(at: offset)
    }
  }

  /// The text as a value.
  static func value(of text: [UInt8], at offset: FileOffset = .zero) throws(FormatError)
    -> JSONValue
  {
    do throws(JSONError) {
      return try JSONValue(parsing: text)
    } catch {
      let limit = UInt64(ImageLimits.descriptionValues)
      let kind: FormatError.Kind =
        error.problem == .tooMany
        ? .overLimit(.descriptionValues, found: limit + 1, limit: limit)
        : .description(error.problem)
      throw FormatError(kind, at: offset + ByteCount(error.position), in: .description)
    }
  }

  /// Reads the element, its type byte included.
  ///
  /// - Throws: `truncated`, `unknownSectionType`, `misplacedSection`, and as `init(text:at:)`.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let count = try Self.textByteCount(parsing: &input)
    let textOffset = input.offset
    let text = try input.readBytes(count, in: .description)
    self = try DeviceDescription(text: text, at: textOffset)
  }

  /// Reads the bytes before the text. How many the text has, which is within the limit.
  ///
  /// - Throws: `truncated`, `unknownSectionType`, `misplacedSection`, `overLimit`.
  package static func textByteCount(parsing input: inout ByteInput) throws(FormatError) -> Int {
    let start = input.offset
    let byte = try input.readBigEndian(UInt8.self, in: .description)
    guard byte == SectionType.description.rawValue else {
      throw FormatError(
        SectionType(rawValue: byte).map { .misplacedSection($0) } ?? .unknownSectionType(byte),
        at: start, in: .description)
    }
    let lengthOffset = input.offset
    let length = ByteCount(UInt64(try input.readBigEndian(UInt32.self, in: .description)))
    guard length <= ImageLimits.descriptionBytes else {
      throw overLimit(length, at: lengthOffset)
    }
    return Int(length.rawValue)
  }

  /// Appends the element's bytes.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.count))
    output.write(text)
  }

  private static func overLimit(_ found: ByteCount, at offset: FileOffset) -> FormatError {
    FormatError(
      .overLimit(
        .descriptionBytes, found: found.rawValue, limit: ImageLimits.descriptionBytes.rawValue),
      at: offset, in: .description)
  }
}
