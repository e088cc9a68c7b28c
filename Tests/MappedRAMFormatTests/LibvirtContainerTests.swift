import MappedRAMFormat
import Testing

@Suite struct LibvirtContainerTests {
  private func read(
    _ data: [UInt8], cookieOffset: UInt32, dataLength: Int? = nil
  ) throws -> LibvirtContainer {
    try parse(data, at: 92, parser(try header(cookieOffset, dataLength ?? data.count)))
  }

  private func header(_ cookieOffset: UInt32, _ dataLength: Int) throws -> LibvirtHeader {
    try parse(
      LibvirtHeaderTests.bytes([2, UInt32(dataLength), 1, 6, cookieOffset]),
      LibvirtHeader.init(parsing:))
  }

  private func parser(_ header: LibvirtHeader) -> Parser<LibvirtContainer> {
    { (input) throws(FormatError) in try LibvirtContainer(header: header, parsing: &input) }
  }

  @Test func readsXMLAndCookie() throws {
    let data = ascii("<domain/>\0<cookie/>\0") + [UInt8](repeating: 0, count: 30)
    let container = try read(data, cookieOffset: 10)
    #expect(container.xml == "<domain/>")
    #expect(container.cookie == "<cookie/>")
    #expect(container.header.dataLength == 50)
  }

  @Test func cookieMayBeAbsent() throws {
    let container = try read(ascii("<domain/>\0\0\0"), cookieOffset: 0)
    #expect(container.xml == "<domain/>")
    #expect(container.cookie == nil)
  }

  @Test func textsMayBeEmpty() throws {
    let container = try read([0, 0], cookieOffset: 1)
    #expect(container.xml == "")
    #expect(container.cookie == "")
  }

  @Test func textIsUTF8() throws {
    #expect(try read(ascii("<name>Grüße</name>\0"), cookieOffset: 0).xml == "<name>Grüße</name>")
  }

  @Test func textWithoutItsZeroIsRefused() throws {
    let error = try failure(ascii("<domain/>"), at: 92, parser(header(0, 9)))
    #expect(error == FormatError(.libvirtTextNotTerminated, at: 92, in: .libvirtData))
    let xml = try failure(ascii("<domain/>c\0"), at: 92, parser(header(9, 11)))
    #expect(xml == FormatError(.libvirtTextNotTerminated, at: 92, in: .libvirtData))
    let cookie = try failure(ascii("<domain/>\0c"), at: 92, parser(header(10, 11)))
    #expect(cookie == FormatError(.libvirtTextNotTerminated, at: 102, in: .libvirtData))
  }

  @Test func everyPrefixIsCutOff() throws {
    try expectTruncation(of: ascii("<domain/>\0<cookie/>\0\0\0"), parser(header(10, 22)))
  }
}
