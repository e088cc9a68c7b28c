/// The last bytes of a device area, 16 of them: in a file that ends with them, the area is found without reading the stream.
///
/// | offset | bytes | |
/// | --- | --- | --- |
/// | 0 | 8 | offset of the header, big-endian |
/// | 8 | 8 | magic `MRAMDEVE` |
package struct DeviceAreaTrailer: Equatable, Sendable {
  /// Where the area's header is.
  package var header: FileOffset

  /// A trailer of an area that begins at `header`.
  package init(header: FileOffset) { self.header = header }

  /// The last characters of an area.
  package static let magic: [UInt8] = Array("MRAMDEVE".utf8)
  /// Bytes in a trailer.
  package static let byteCount = 16

  /// Reads a trailer; `nil` where there is none.
  package init?(parsing input: inout ByteInput) {
    guard input.remaining == Self.byteCount,
      Self.magic.indices.allSatisfy({ input.peek(8 + $0) == Self.magic[$0] }),
      let offset = try? input.readBigEndian(UInt64.self, in: .deviceArea)
    else { return nil }
    header = FileOffset(offset)
  }

  /// Writes the trailer.
  func encode(into output: inout ByteOutput) {
    output.writeBigEndian(header.rawValue)
    output.write(Self.magic)
  }
}
