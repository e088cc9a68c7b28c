/// One entry of the block list, as it stands in the file.
///
/// | size | byte order | meaning | when |
/// | --- | --- | --- | --- |
/// | 1 | | length of the idstr | always |
/// | n | | idstr | always |
/// | 8 | big | used length in bytes | always |
/// | 8 | big | address of the memory region | with `x-ignore-shared` |
/// | 28 | | `MappedRAMHeader` | with `mapped-ram` |
///
/// Source: QEMU v10.0.2, `migration/ram.c`; the order of the last two: QEMU 11.0.
package struct RAMBlockEntry: Equatable, Sendable {
  /// The block's name, 1 to 255 printable bytes.
  package var idstr: String
  /// Bytes of the block that are in use.
  package var usedLength: ByteCount
  /// The address of the block's memory region in its container.
  package var address: UInt64?
  /// Where the block's bitmap and pages are.
  package var header: MappedRAMHeader?

  /// Which optional parts the entries of a list have.
  package struct Form: Hashable, Sendable {
    /// Whether each entry has an address.
    package var hasAddress: Bool
    /// Whether each entry has a mapped-ram header.
    package var hasHeader: Bool

    /// A form of its parts.
    package init(hasAddress: Bool, hasHeader: Bool) {
      self.hasAddress = hasAddress
      self.hasHeader = hasHeader
    }

    /// The form of the entries in a stream with this configuration.
    package init(_ configuration: Configuration) {
      hasAddress = configuration.ignoresShared
      hasHeader = configuration.isMappedRAM
    }
  }

  /// An entry of its parts.
  package init(
    idstr: String, usedLength: ByteCount, address: UInt64? = nil, header: MappedRAMHeader? = nil
  ) {
    self.idstr = idstr
    self.usedLength = usedLength
    self.address = address
    self.header = header
  }

  /// The most bytes that an entry can have.
  package static let maximumByteCount = 1 + 255 + 8 + 8 + MappedRAMHeader.byteCount

  /// Reads an entry.
  ///
  /// - Throws: `truncated`, a name's errors, a mapped-ram header's errors.
  package init(parsing input: inout ByteInput, form: Form) throws(FormatError) {
    idstr = try input.readCountedName(in: .ramBlockList)
    usedLength = ByteCount(try input.readBigEndian(UInt64.self, in: .ramBlock(idstr)))
    address = form.hasAddress ? try input.readBigEndian(in: .ramBlock(idstr)) : nil
    header = form.hasHeader ? try MappedRAMHeader(parsing: &input, of: idstr) : nil
  }

  /// Appends the entry's bytes.
  package func encode(into output: inout ByteOutput) {
    output.writeCountedName(idstr)
    output.writeBigEndian(usedLength.rawValue)
    if let address { output.writeBigEndian(address) }
    header?.encode(into: &output)
  }
}
