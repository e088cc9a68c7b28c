import MappedRAMFormat

/// What libvirt puts before a stream; or, where the bytes do not begin with its magic, the XML of a domain alone.
enum LibvirtTarget {
  static func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
    guard LibvirtHeader.isPresent(in: bytes) else {
      return LibvirtDomain(xml: String(decoding: bytes, as: UTF8.self)).name != nil
    }
    let container: LibvirtContainer
    let end: FileOffset
    do throws(FormatError) {
      var input = ByteInput(bytes.span)
      let header = try LibvirtHeader(parsing: &input)
      container = try LibvirtContainer(header: header, parsing: &input)
      end = input.offset
    } catch {
      _ = error.description
      return false
    }
    try require(end == container.header.streamOffset, "the stream does not follow the data area")
    try checkHeader(container.header)
    if let cookie = container.cookie { _ = LibvirtDomain(xml: cookie) }
    return LibvirtDomain(xml: container.xml).name != nil
  }

  /// A header is read as it was written.
  private static func checkHeader(_ header: LibvirtHeader) throws(Finding) {
    var output = ByteOutput()
    header.encode(into: &output)
    let read = try succeed("a header, written") { () throws(FormatError) in
      var input = ByteInput(output.bytes.span)
      return try LibvirtHeader(parsing: &input)
    }
    try require(read == header, "a header is read as another than it was written")
  }
}
