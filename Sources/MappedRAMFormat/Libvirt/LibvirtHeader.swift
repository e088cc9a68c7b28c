/// The 92 bytes that begin a file of `virsh save`.
///
/// | offset | size | meaning |
/// | --- | --- | --- |
/// | 0 | 16 | magic: `LibvirtQemudSave`, or `LibvirtQemudPart` while the save runs |
/// | 16 | 4 | version, 2 (1 is read as well) |
/// | 20 | 4 | bytes of the data area behind the header |
/// | 24 | 4 | 1 if the domain was running |
/// | 28 | 4 | format of the payload; 6 is sparse |
/// | 32 | 4 | offset of the cookie in the data area, or 0 |
/// | 36 | 56 | unused |
///
/// The numbers are in the byte order of the host that wrote them, without a mark. Source: libvirt 11.3.0,
/// `src/qemu/qemu_saveimage.h`.
public struct LibvirtHeader: Equatable, Sendable {
  /// Whether the save came to its end.
  public var isComplete: Bool
  /// The byte order of the numbers.
  public var byteOrder: ByteOrder
  /// The header's version.
  public var version: UInt32
  /// Bytes of the data area: XML, cookie and padding. The payload follows at 92 + this.
  public var dataLength: UInt32
  /// Whether the domain was running when it was saved.
  public var wasRunning: Bool
  /// What the payload is.
  public var format: PayloadFormat
  /// Where the cookie begins in the data area; 0 where there is none.
  public var cookieOffset: UInt32

  /// The order of the bytes of a number.
  public enum ByteOrder: String, Sendable { case little, big }

  /// What stands behind the data area.
  public enum PayloadFormat: UInt32, CaseIterable, Sendable {
    case raw = 0
    case gzip = 1
    case bzip2 = 2
    case xz = 3
    case lzop = 4
    case zstd = 5
    case sparse = 6
  }

  /// Bytes in the file.
  public static let byteCount = 92
  static let completeMagic = Array("LibvirtQemudSave".utf8)
  static let partialMagic = Array("LibvirtQemudPart".utf8)

  /// Where the migration stream begins.
  public var streamOffset: FileOffset {
    FileOffset(UInt64(Self.byteCount) + UInt64(dataLength))
  }

  /// Whether a file that begins with `head` is libvirt's; 16 bytes are enough.
  public static func isPresent(in head: some Collection<UInt8>) -> Bool {
    head.starts(with: completeMagic) || head.starts(with: partialMagic)
  }
}

extension LibvirtHeader {
  /// Reads a header whose magic `isPresent(in:)` has seen.
  ///
  /// - Throws: `truncated`, `libvirtVersion`, `libvirtFormat`, `libvirtDataLength`, `libvirtCookieOffset`.
  package init(parsing input: inout ByteInput) throws(FormatError) {
    let context = FormatError.Context.libvirtHeader
    let start = input.offset
    try input.require(Self.byteCount, in: context)
    let magic = try input.readBytes(16, in: context)
    isComplete = magic == Self.completeMagic
    guard isComplete || magic == Self.partialMagic else {
      throw FormatError(.notAStream(found: magic, looksLike: nil), at: start, in: context)
    }
    var fields: [UInt32] = []
    for _ in 0..<5 { fields.append(try input.readLittleEndian(in: context)) }
    try input.skip(56, in: context)

    func fail(_ kind: FormatError.Kind, field: Int) -> FormatError {
      FormatError(kind, at: start + ByteCount(16 + 4 * field), in: context)
    }
    byteOrder = .little
    if fields[0] > 2 {
      byteOrder = .big
      fields = fields.map(\.byteSwapped)
    }
    version = fields[0]
    guard (1...2).contains(version) else {
      throw fail(.libvirtVersion(found: version), field: 0)
    }
    dataLength = fields[1]
    guard dataLength > 0 else { throw fail(.libvirtDataLength(found: 0), field: 1) }
    let limit = ImageLimits.libvirtDataBytes.rawValue
    guard UInt64(dataLength) <= limit else {
      throw fail(
        .overLimit(.libvirtDataBytes, found: UInt64(dataLength), limit: limit), field: 1)
    }
    wasRunning = fields[2] != 0
    guard let format = PayloadFormat(rawValue: fields[3]) else {
      throw fail(.libvirtFormat(found: fields[3]), field: 3)
    }
    self.format = format
    cookieOffset = fields[4]
    guard cookieOffset < dataLength else {
      throw fail(.libvirtCookieOffset(found: cookieOffset, dataLength: dataLength), field: 4)
    }
  }

  /// Appends the header's bytes.
  package func encode(into output: inout ByteOutput) {
    output.write(isComplete ? Self.completeMagic : Self.partialMagic)
    for field in [version, dataLength, wasRunning ? 1 : 0, format.rawValue, cookieOffset] {
      switch byteOrder {
      case .little: output.writeLittleEndian(field)
      case .big: output.writeBigEndian(field)
      }
    }
    output.write(Array(repeating: 0, count: 56))
  }
}
