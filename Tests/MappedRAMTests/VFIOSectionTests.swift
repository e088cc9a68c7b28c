import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Sections of passthrough devices, which no description lists and which may have any number of bytes: their own marks tell where
/// they end.
@Suite struct VFIOSectionTests {
  private static let identity = SectionIdentity(
    idstr: "0000:00:02.0/vfio", instanceID: 0, version: 1)

  private static func mark(_ number: UInt64) -> [UInt8] {
    var output = ByteOutput()
    output.writeBigEndian(0xFFFF_FFFF_EF10_0000 | number)
    return output.bytes
  }

  private static let (end, setup, data, initialDataSent) = (mark(1), mark(3), mark(4), mark(5))

  private static func data(_ byteCount: UInt64) -> [UInt8] {
    var output = ByteOutput()
    output.write(data)
    output.writeBigEndian(byteCount)
    return output.bytes
  }

  /// An image with the three kinds of sections; END has the records `last`, of which each is followed by a hole of so many bytes.
  private static func file(
    _ last: [(record: [UInt8], hole: UInt64)], hasFooters: Bool = true, described: Bool = false
  ) throws -> File {
    let start = ReaderEdgeTests.section(.start(id: 2, identity), id: 2, setup + end)
    let bytes: [UInt8] = [1, 0x7E, 0, 0, 0, 2, 0, 9]
    let part = ReaderEdgeTests.section(.part(id: 2), id: 2, data(8) + bytes + initialDataSent)
    let file = try ReaderEdgeTests.file(start + part)
    var place = try file.size()
    var head = ByteOutput()
    StreamElement.end(id: 2).encode(into: &head)
    try file.write(head.bytes, at: place)
    place += UInt64(head.bytes.count)
    for (record, hole) in last {
      try file.write(record, at: place)
      place += UInt64(record.count) + hole
    }
    var tail = ByteOutput()
    SectionFooter(id: 2).encode(into: &tail)
    tail.write(ReaderEdgeTests.endOfRAM + [0])
    if described { tail.write(ReaderEdgeTests.description(size: 1)) }
    try file.write(tail.bytes, at: place)
    return file
  }

  private static func lengths(_ image: Image) -> [UInt64] {
    image.sections.filter { $0.identity == identity }.map(\.body.byteCount.rawValue)
  }

  /// Some hundred GiB, as a large GPU may have, with and without a description of the other devices.
  @Test(arguments: [false, true]) func anyNumberOfBytes(_ described: Bool) throws {
    let size = UInt64(90) << 30
    let image = try Image(
      reading: Self.file(
        [(Self.data(size), size), (Self.data(size), size), (Self.end, 0)], described: described))
    #expect(image.isComplete)
    #expect(Self.lengths(image) == [16, 32, 2 * (size + 16) + 8])
  }

  /// What looks like a footer and like an end of the stream in a device's data is data.
  @Test func imitationsInTheDataArePassedOver() throws {
    var imitation = ByteOutput()
    SectionFooter(id: 2).encode(into: &imitation)
    imitation.write(ReaderEdgeTests.endOfRAM + [0])
    let bytes = imitation.bytes
    let image = try Image(
      reading: Self.file([(Self.data(UInt64(bytes.count)) + bytes, 0), (Self.end, 0)]))
    #expect(image.isComplete)
    #expect(Self.lengths(image).last == UInt64(bytes.count) + 24)
  }

  /// Without data; with a mark of a version that is not known yet, or a length that leads out of the file: then the footer counts.
  @Test func othersEndAtTheirFooter() throws {
    for (record, length) in [
      (Self.end, 8), (Self.mark(6) + [1, 2, 3], 11), (Self.data(.max), 16),
      (Self.data(1 << 40) + [5], 17), (Self.data(2) + [1, 2] + Self.mark(9), 26), ([7, 7], 2),
      (Self.end + [7], 9),
    ] {
      let image = try Image(reading: Self.file([(record, 0)]))
      #expect(image.isComplete, "\(record): \(image.problems)")
      #expect(Self.lengths(image).last == UInt64(length), "\(record)")
    }
  }

  /// Cut anywhere, it is not complete, and nothing is read that is not there.
  @Test func cutAnywhereItIsNotWhole() throws {
    let file = try Self.file([(Self.data(3) + [1, 2, 3], 0), (Self.end, 0)])
    for length in (UInt64(0)..<(try file.size())).reversed() {
      try file.truncate(to: length)
      #expect(try !Image(reading: file).isComplete)
    }
  }

  /// A record may lead to any place behind it: here each section's leads to the same many records, which end nowhere. All sections
  /// together look at a million.
  @Test func sectionsThatLeadToTheSameRecords() throws {
    let (count, records) = (3000, 100_000)
    let start = ReaderEdgeTests.section(.start(id: 2, Self.identity), id: 2, Self.setup + Self.end)
    let part = ReaderEdgeTests.section(.part(id: 2), id: 2, Self.data(0)).count
    let end = ReaderEdgeTests.section(.end(id: 2), id: 2, Self.end) + ReaderEdgeTests.endOfRAM + [0]
    let length = start.count + count * part + end.count
    var tail = start
    for _ in 0..<count {
      let head = 5
      let rest = UInt64(length - tail.count - head - 16)
      tail += ReaderEdgeTests.section(.part(id: 2), id: 2, Self.data(rest))
    }
    tail += end
    #expect(tail.count == length)
    let file = try ReaderEdgeTests.file(tail)
    let size = try file.size()
    try file.write(Array(repeatElement(Self.setup, count: records).joined()), at: size)
    let image = try Image(reading: file)
    #expect(image.isComplete && image.sections.count > count)
  }

  /// A plain tail is read by the same rules.
  @Test func withoutFootersTheMarksAreEnough() throws {
    var tail = ByteOutput()
    StreamElement.start(id: 2, Self.identity).encode(into: &tail)
    tail.write(Self.setup + Self.end)
    StreamElement.end(id: 2).encode(into: &tail)
    tail.write(Self.data(2) + [0x7E, 0] + Self.end)
    tail.write(ReaderEdgeTests.endOfRAM.dropLast(5) + [0])
    let file = try File.inMemory(name: "tail", byteCount: 0)
    try file.write(tail.bytes, at: 0)
    let stream = try DeviceStateStream(reading: file, hasFooters: false)
    #expect(
      stream.sections.filter { $0.identity == Self.identity }.map(\.body.byteCount) == [16, 26])
  }
}
