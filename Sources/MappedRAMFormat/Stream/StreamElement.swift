/// What a type byte after the CONFIGURATION section introduces: the head of a section, a command, or the end.
///
/// | type | after the type byte | footer |
/// | --- | --- | --- |
/// | START, FULL | id (4), length of idstr (1), idstr, instance id (4), version (4), body | yes |
/// | PART, END | id (4), body | yes |
/// | COMMAND | code (2), length (2), data | no |
/// | EOF | nothing | no |
///
/// All numbers are big-endian. The length of a body is written nowhere. Source: QEMU v10.0.2, `migration/savevm.c`.
package enum StreamElement: Equatable, Sendable {
  case start(id: UInt32, SectionIdentity)
  case part(id: UInt32)
  case end(id: UInt32)
  case full(id: UInt32, SectionIdentity)
  case command(Command)
  case endOfStream

  /// The most bytes that an element's head can have: a command with its data.
  package static let maximumByteCount = 5 + Int(UInt16.max)

  /// The most bytes that the head of a section can have: a START or FULL with the longest idstr.
  package static let maximumSectionHeadByteCount = 1 + 4 + 1 + 255 + 4 + 4

  /// All bytes of the command that begins at `input`, as far as its length says; `nil` where something else begins.
  package static func byteCountOfCommand(at input: borrowing ByteInput) -> Int? {
    guard input.peek() == SectionType.command.rawValue else { return nil }
    guard let high = input.peek(3), let low = input.peek(4) else { return Command.headByteCount }
    return Command.headByteCount + (Int(high) << 8 | Int(low))
  }

  /// Reads the head of the next element and leaves the input at its body.
  ///
  /// - Throws: `truncated`, `unknownSectionType`, `misplacedSection`, a name's or a command's errors.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let start = input.offset
    let byte = try input.readBigEndian(UInt8.self, in: .sectionHeader)
    guard let type = SectionType(rawValue: byte) else {
      throw FormatError(.unknownSectionType(byte), at: start, in: .sectionHeader)
    }
    switch type {
    case .endOfStream:
      self = .endOfStream
    case .start, .full:
      let id = try input.readBigEndian(UInt32.self, in: .sectionHeader)
      let idstr = try input.readCountedName(in: .sectionHeader)
      let instanceID = try input.readBigEndian(UInt32.self, in: .section(idstr))
      let version = try input.readBigEndian(UInt32.self, in: .section(idstr))
      let identity = SectionIdentity(idstr: idstr, instanceID: instanceID, version: version)
      self = type == .start ? .start(id: id, identity) : .full(id: id, identity)
    case .part:
      self = .part(id: try input.readBigEndian(UInt32.self, in: .sectionHeader))
    case .end:
      self = .end(id: try input.readBigEndian(UInt32.self, in: .sectionHeader))
    case .command:
      self = .command(try Command(parsing: &input))
    case .subsection, .description, .configuration, .footer:
      throw FormatError(.misplacedSection(type), at: start, in: .sectionHeader)
    }
  }

  /// The type byte of this element.
  package var type: SectionType {
    switch self {
    case .start: .start
    case .part: .part
    case .end: .end
    case .full: .full
    case .command: .command
    case .endOfStream: .endOfStream
    }
  }

  /// Appends the bytes of the head.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(type.rawValue)
    switch self {
    case .start(let id, let identity), .full(let id, let identity):
      output.writeBigEndian(id)
      output.writeCountedName(identity.idstr)
      output.writeBigEndian(identity.instanceID)
      output.writeBigEndian(identity.version)
    case .part(let id), .end(let id):
      output.writeBigEndian(id)
    case .command(let command):
      command.encode(into: &output)
    case .endOfStream:
      break
    }
  }
}

/// The five bytes behind a section's body: 0x7E and the section's id (4, big-endian).
package struct SectionFooter: Equatable, Sendable {
  /// The id of the section that ends here.
  package var id: UInt32

  /// Bytes in the file.
  package static let byteCount = 5

  /// The footer of section `id`.
  package init(id: UInt32) { self.id = id }

  /// Reads the footer of section `id`.
  ///
  /// - Throws: `truncated`, `missingFooter`, `footerMismatch`.
  package init(
    parsing input: inout ByteInput, of id: UInt32, in context: FormatError.Context
  ) throws(FormatError) {
    let start = input.offset
    let type = try input.readBigEndian(UInt8.self, in: context)
    guard type == SectionType.footer.rawValue else {
      throw FormatError(.missingFooter(found: type), at: start, in: context)
    }
    let idOffset = input.offset
    let found = try input.readBigEndian(UInt32.self, in: context)
    guard found == id else {
      throw FormatError(.footerMismatch(found: found, expected: id), at: idOffset, in: context)
    }
    self.id = id
  }

  /// Appends the footer's bytes.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(SectionType.footer.rawValue)
    output.writeBigEndian(id)
  }
}
