/// The header that mapped-ram puts behind a block's entry in the list.
///
/// | offset | size | byte order | meaning |
/// | --- | --- | --- | --- |
/// | 0 | 4 | big | version, 1 |
/// | 4 | 8 | big | page size of the target |
/// | 12 | 8 | big | file offset of the bitmap |
/// | 20 | 8 | big | file offset of the slot of page 0 |
///
/// Source: QEMU v10.0.2, `migration/ram.c`, `MappedRamHeader`. Both offsets are 0 for a block that `x-ignore-shared` left
/// out (QEMU 11).
package struct MappedRAMHeader: Equatable, Sendable {
  /// The size of the target's pages.
  package var pageSize: PageSize
  /// Where the block's bitmap begins.
  package var bitmapOffset: FileOffset
  /// Where the slot of page 0 begins.
  package var pagesOffset: FileOffset

  /// Bytes in the file.
  package static let byteCount = 28
  /// The only version.
  package static let version: UInt32 = 1

  /// A header of its fields.
  package init(pageSize: PageSize, bitmapOffset: FileOffset, pagesOffset: FileOffset) {
    self.pageSize = pageSize
    self.bitmapOffset = bitmapOffset
    self.pagesOffset = pagesOffset
  }

  /// Whether the block has no place in the file.
  package var isIgnored: Bool { bitmapOffset == .zero && pagesOffset == .zero }

  /// Reads the header of block `idstr`.
  ///
  /// - Throws: `truncated`, `mappedRAMVersion`, `pageSize`.
  package init(parsing input: inout ByteInput, of idstr: String) throws(FormatError) {
    let context = FormatError.Context.mappedRAMHeader(idstr)
    try input.require(Self.byteCount, in: context)
    let versionOffset = input.offset
    let version = try input.readBigEndian(UInt32.self, in: context)
    guard version == Self.version else {
      throw FormatError(.mappedRAMVersion(found: version), at: versionOffset, in: context)
    }
    let sizeOffset = input.offset
    let size = try input.readBigEndian(UInt64.self, in: context)
    guard let pageSize = PageSize(byteCount: size) else {
      throw FormatError(.pageSize(found: size), at: sizeOffset, in: context)
    }
    self.pageSize = pageSize
    bitmapOffset = FileOffset(try input.readBigEndian(in: context))
    pagesOffset = FileOffset(try input.readBigEndian(in: context))
  }

  /// Appends the header's bytes.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(Self.version)
    output.writeBigEndian(UInt64(pageSize.byteCount))
    output.writeBigEndian(bitmapOffset.rawValue)
    output.writeBigEndian(pagesOffset.rawValue)
  }
}
