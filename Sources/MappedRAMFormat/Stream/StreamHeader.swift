/// The first eight bytes of a migration stream.
///
/// | offset | size | byte order | meaning |
/// | --- | --- | --- | --- |
/// | 0 | 4 | big | magic, 0x5145564D, "QEVM" |
/// | 4 | 4 | big | version, 3 |
///
/// Source: QEMU v10.0.2, `migration/savevm.c`.
public struct StreamHeader: Equatable, Sendable {
  /// "QEVM".
  public static let magic: UInt32 = 0x5145_564D
  /// The only version that QEMU still writes and reads.
  public static let version: UInt32 = 3
  /// Bytes in the file.
  public static let byteCount = 8

  /// The header: it has no choices.
  package init() {}

  /// Reads a header.
  ///
  /// - Throws: `truncated`, `notAStream`, `unsupportedStreamVersion`.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let start = input.offset
    var head: [UInt8] = []
    for distance in 0..<512 {
      guard let byte = input.peek(distance) else { break }
      head.append(byte)
    }
    if head.count >= 4, !Self.isPresent(in: head) {
      throw FormatError(
        .notAStream(found: Array(head.prefix(4)), looksLike: ForeignFormat(head: head)), at: start,
        in: .streamHeader)
    }
    try input.require(Self.byteCount, in: .streamHeader)
    _ = try input.readBigEndian(UInt32.self, in: .streamHeader)
    let versionOffset = input.offset
    let version = try input.readBigEndian(UInt32.self, in: .streamHeader)
    guard version == Self.version else {
      throw FormatError(
        .unsupportedStreamVersion(found: version), at: versionOffset, in: .streamHeader)
    }
  }

  /// Whether a file that begins with `head` begins with a stream; 4 bytes are enough.
  public static func isPresent(in head: some Collection<UInt8>) -> Bool {
    head.starts(with: [0x51, 0x45, 0x56, 0x4D])
  }

  /// Appends the header's bytes.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(Self.magic)
    output.writeBigEndian(Self.version)
  }
}
