/// What libvirt puts before a migration stream: its header, the domain's XML and a cookie.
///
/// ```
/// 0                 header, 92 bytes
/// 92                XML, NUL, [cookie, NUL], zeros: `dataLength` bytes
/// 92 + dataLength   migration stream
/// ```
public struct LibvirtContainer: Equatable, Sendable {
  /// The header.
  public var header: LibvirtHeader
  /// The domain's XML, without the NUL. It may hold secrets, like the password of a display.
  public var xml: String
  /// libvirt's own element about the CPU, without the NUL; `nil` in images of older versions.
  public var cookie: String?

  /// Reads the data area behind `header`.
  ///
  /// - Throws: `truncated`, `libvirtTextNotTerminated`.
  package init(header: LibvirtHeader, parsing input: inout ByteInput) throws(FormatError) {
    let start = input.offset
    let data = try input.readBytes(Int(header.dataLength), in: .libvirtData)
    let xmlEnd = header.cookieOffset == 0 ? data.count : Int(header.cookieOffset)
    self.header = header
    xml = try Self.text(data[..<xmlEnd], at: start)
    cookie =
      header.cookieOffset == 0
      ? nil
      : try Self.text(data[Int(header.cookieOffset)...], at: start + ByteCount(xmlEnd))
  }

  private static func text(
    _ bytes: ArraySlice<UInt8>, at offset: FileOffset
  ) throws(FormatError) -> String {
    guard let end = bytes.firstIndex(of: 0) else {
      throw FormatError(.libvirtTextNotTerminated, at: offset, in: .libvirtData)
    }
    return String(decoding: bytes[..<end], as: UTF8.self)
  }
}
