import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Streams without RAM, made by hand: what the reader makes of sections that are hard to tell apart.
@Suite struct ReaderEdgeTests {
  private static let end: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0x10]

  static func section(_ element: StreamElement, id: UInt32, _ body: [UInt8]) -> [UInt8] {
    var output = ByteOutput()
    element.encode(into: &output)
    output.write(body)
    SectionFooter(id: id).encode(into: &output)
    return output.bytes
  }

  private static func full(_ idstr: String, id: UInt32, _ body: [UInt8]) -> [UInt8] {
    section(
      .full(id: id, SectionIdentity(idstr: idstr, instanceID: 0, version: 1)), id: id, body)
  }

  static let endOfRAM = section(.end(id: 1), id: 1, end)

  /// A description of the one device `css`, whose body has `size` bytes, it says.
  static func description(size: Int) -> [UInt8] {
    let text = """
      {"page_size": 4096, "devices": [{"name": "css", "instance_id": 0, "vmsd_name": "css", \
      "version": 1, "fields": [{"name": "a", "type": "buffer", "size": \(size)}]}]}
      """
    var output = ByteOutput()
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.utf8.count))
    output.write(text.utf8)
    return output.bytes
  }

  /// A file with an image whose machine has no RAM, and `tail` behind the empty block list.
  static func file(_ tail: [UInt8]) throws -> File {
    let configuration = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram"])])
    let prologue = StreamPrologue(configuration: configuration)
    var output = prologue.encoded(at: .zero)
    RAMWord.memorySize(.zero).encode(into: &output)
    output.write(prologue.encodedListEnd(at: output.offset).bytes)
    output.write(tail)
    let file = try File.inMemory(name: "image", byteCount: 0)
    try file.write(output.bytes, at: 0)
    return file
  }

  @Test func imageOfMachineWithoutRAMIsRestored() throws {
    let file = try Self.file(Self.endOfRAM + [0])
    let directory = try TemporaryDirectory()
    let outcome = try DirectoryRestore(ImageRestore(file), to: directory.file("apart")).run()
    #expect(outcome.image.isComplete)
    #expect(outcome.image.blocks == [])
    #expect(outcome.files == ["vmstate.bin", "image.json"])
  }

  /// Places that look like a footer until one looks behind them are not read again for each of them.
  @Test(arguments: [[0xEE], [8, 0, 99, 255, 255]] as [[UInt8]])
  func imitatedFootersAreReadOnce(_ rest: [UInt8]) throws {
    let imitation = [0x7E, 0, 0, 0, 2] + rest
    let identity = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    let body = Array(repeatElement(imitation, count: 50_000).joined())
    let file = try Self.file(Self.section(.start(id: 2, identity), id: 3, body))
    let before = try Self.bytesReadByThisThread()
    let image = try Image(reading: file)
    let after = try Self.bytesReadByThisThread()
    #expect(image.problems.map(\.kind) == [.sectionLengthUnknown(.endOfFile)])
    // Once by the search, and once by the look behind the candidates, and a little more.
    #expect(after - before < 3 * body.count)
  }

  private static func bytesReadByThisThread() throws -> Int {
    let file = try File.open("/proc/thread-self/io", access: .read, directIO: .off)
    let text = String(decoding: try file.readBytes(at: 0, count: 4096), as: UTF8.self)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("rchar: ") })
    return try #require(Int(line.dropFirst("rchar: ".count)))
  }

  /// A body that no description lists has a limit; a footer right at it is still found.
  @Test(arguments: [0, 1] as [UInt64])
  func aBodyThatHasToBeSearchedHasALimit(_ more: UInt64) throws {
    let identity = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    let limit = ImageLimits.searchedBodyBytes
    let section = Self.section(.start(id: 2, identity), id: 2, [])
    let file = try Self.file(Array(section.dropLast(5)))
    let start = try file.size()
    let end = start + limit.rawValue + more
    try file.write(section.suffix(5) + Self.endOfRAM + [0], at: end)
    let image = try Image(reading: file)
    if more == 0 {
      #expect(image.isComplete)
      #expect(image.sections.first { $0.identity == identity }?.body.byteCount == limit)
    } else {
      #expect(image.problems.map(\.kind) == [.sectionLengthUnknown(.limit(limit))])
    }
  }

  /// What QEMU's own devices have in one section and describe nowhere: the page table of a ppc64 guest, the storage attributes of an
  /// s390x guest.
  @Test func sectionsOfLargeMachinesAreBelowIt() throws {
    let identity = SectionIdentity(idstr: "spapr/htab", instanceID: 0, version: 1)
    let section = Self.section(.start(id: 2, identity), id: 2, [1])
    let file = try Self.file(section + Array(Self.section(.end(id: 2), id: 2, []).dropLast(5)))
    let end = try file.size() + 300 << 20
    try file.write(Self.section(.end(id: 2), id: 2, []).suffix(5) + Self.endOfRAM + [0], at: end)
    #expect(try Image(reading: file).isComplete)
  }

  /// A footer whose first byte ends the data before a hole, and whose id is zeros, is found.
  @Test func aFooterMayReachIntoAHole() throws {
    let identity = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    let head = Self.section(.start(id: 0, identity), id: 0, []).dropLast(5)
    let file = try Self.file(Array(head))
    let data = (try file.size() + 1 << 20) & ~0xFFFF
    try file.write([0x7E], at: data - 1)
    try file.write(Self.endOfRAM + [0], at: data + 4)
    let image = try Image(reading: file)
    #expect(image.isComplete)
    #expect(image.sections.first { $0.identity == identity }?.body.upperBound.rawValue == data - 1)
  }

  @Test func readingCanBeCancelled() throws {
    let cancellation = Cancellation()
    let file = try Self.file(Self.endOfRAM + [0])
    #expect(try Image(reading: file, cancellation: cancellation).isComplete)
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) { try Image(reading: file, cancellation: cancellation) }
    #expect(throws: ImageError.cancelled) {
      try DeviceStateStream(reading: file, cancellation: cancellation)
    }
  }

  /// A footer at any place relative to the parts in which the search reads is found.
  @Test(arguments: -7...7)
  func footerAcrossTheBorderOfTwoReadsIsFound(_ shift: Int) throws {
    let identity = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    let body = [UInt8](repeating: 0x7E, count: ImageWindow.readAhead + shift)
    let tail = Self.section(.start(id: 2, identity), id: 2, body) + Self.endOfRAM + [0]
    let image = try Image(reading: try Self.file(tail))
    #expect(image.isComplete)
    let section = try #require(image.sections.first { $0.identity == identity })
    #expect(section.body.byteCount == ByteCount(body.count))
  }

  /// QEMU before 10.0 describes arrays with null pointers with a wrong length (s390x): the footer decides.
  @Test(arguments: [0, 1, 9, 11, 30])
  func wrongLengthInTheDescriptionGivesWayToTheFooter(_ size: Int) throws {
    let body: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    let tail = Self.endOfRAM + Self.full("css", id: 7, body) + Self.full("x", id: 8, [1]) + [0]
    let image = try Image(reading: try Self.file(tail + Self.description(size: size)))
    #expect(image.isComplete)
    let section = try #require(image.sections.first { $0.identity?.idstr == "css" })
    #expect(section.body.byteCount == 10)
  }

  /// Where there is no footer at all, the place that the description gives is the one that is named.
  @Test func missingFooterIsMissedWhereTheDescriptionPutsIt() throws {
    let tail = Self.endOfRAM + Self.full("css", id: 7, [1, 2]).dropLast(5) + [0]
    let image = try Image(reading: try Self.file(tail + Self.description(size: 2)))
    #expect(image.problems.map(\.kind) == [.missingFooter(found: 0)])
  }

  /// Before a description there is one EOF byte, so a zero byte elsewhere ends no stream.
  @Test func imitatedEndOfStreamIsPassedOver() throws {
    let identity = SectionIdentity(idstr: "dirty-bitmap", instanceID: 0, version: 1)
    let body: [UInt8] = [9, 0x7E, 0, 0, 0, 2, 0, 9, 9]
    let tail =
      Self.section(.start(id: 2, identity), id: 2, body) + Self.endOfRAM
      + Self.full("css", id: 7, [1]) + [0] + Self.description(size: 1)
    let image = try Image(reading: try Self.file(tail))
    #expect(image.problems == [])
    #expect(image.sections.contains { $0.body.byteCount == 9 })
  }
}
