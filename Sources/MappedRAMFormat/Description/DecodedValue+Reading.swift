extension DecodedValue {
  /// Reads one element of `field`, which has no state of its own.
  ///
  /// - Throws: `truncated`; then nothing was read.
  init(scalar field: DescribedField, _ input: inout ByteInput) throws(FormatError) {
    let context = FormatError.Context.sectionHeader
    let size = field.size.rawValue
    guard size <= UInt64(input.remaining) else {
      throw FormatError(
        .truncated(needed: field.size, available: ByteCount(input.remaining)), at: input.offset,
        in: context)
    }
    switch (Coding(type: field.type), size) {
    case (.unsigned, 1): self = .unsigned(UInt64(try input.readBigEndian(UInt8.self, in: context)))
    case (.unsigned, 2): self = .unsigned(UInt64(try input.readBigEndian(UInt16.self, in: context)))
    case (.unsigned, 4): self = .unsigned(UInt64(try input.readBigEndian(UInt32.self, in: context)))
    case (.unsigned, 8): self = .unsigned(try input.readBigEndian(UInt64.self, in: context))
    case (.signed, 1): self = .signed(Int64(try input.readBigEndian(Int8.self, in: context)))
    case (.signed, 2): self = .signed(Int64(try input.readBigEndian(Int16.self, in: context)))
    case (.signed, 4): self = .signed(Int64(try input.readBigEndian(Int32.self, in: context)))
    case (.signed, 8): self = .signed(try input.readBigEndian(Int64.self, in: context))
    case (.bool, 1):
      let byte = try input.readBigEndian(UInt8.self, in: context)
      self = byte > 1 ? .unsigned(UInt64(byte)) : .bool(byte == 1)
    case (.pointer, 1):
      let byte = try input.readBigEndian(UInt8.self, in: context)
      self = byte == Self.nullMarker ? .absent : .bytes([byte])
    default:
      self = .bytes(try input.readBytes(Int(size), in: context))
    }
  }

  /// What QEMU writes in place of a structure that a null pointer points to: "0".
  /// Source: QEMU v10.0.2, `include/migration/vmstate.h`, `VMS_NULLPTR_MARKER`.
  private static let nullMarker = UInt8(ascii: "0")

  private enum Coding {
    case unsigned, signed, bool, pointer, raw

    init(type: String) {
      switch type {
      case "uint8", "uint16", "uint32", "uint64", "uint8 equal", "uint16 equal", "uint32 equal",
        "uint64 equal":
        self = .unsigned
      case "int8", "int16", "int32", "int64", "int8 equal", "int16 equal", "int32 equal",
        "int64 equal", "int32 le", "timer":
        self = .signed
      case "bool": self = .bool
      // Before QEMU 10.0 a null pointer among structures is a structure without fields.
      case "nullptr", "struct": self = .pointer
      default: self = .raw
      }
    }
  }
}
