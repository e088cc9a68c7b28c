import Foundation
import MappedRAMFormat
import TestSupport
import Testing

/// Device descriptions of real images, against what an independent reader found in them.
@Suite("Device descriptions of real images") struct DeviceDescriptionFixtureTests {
  static let described = Fixture.complete.filter { $0.expected.descriptionOffset != nil }

  /// The bytes of the stream from `offset` on.
  private func tail(of fixture: Fixture, from offset: UInt64) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    let path = try fixture.unpack(into: directory)
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(path)"))
    try file.seek(toOffset: offset)
    let end = try #require(fixture.expected.endOffset)
    return [UInt8](try #require(try file.read(upToCount: Int(end - offset))))
  }

  @Test func thereAreSome() {
    #expect(Self.described.count >= 10)
  }

  /// Reads the sections behind RAM one after the other, each as long as the description says.
  @Test(arguments: described) func everySectionEndsAtItsFooter(_ fixture: Fixture) throws {
    let sections = fixture.expected.sections
    let lastOther = try #require(sections.lastIndex { $0.type != "full" })
    let fulls = sections[(lastOther + 1)...]
    let start = try #require(fulls.first).offset
    // What stands behind the stream is none of it.
    let length = try #require(fixture.expected.descriptionLength)
    let streamEnd = try #require(fixture.expected.descriptionOffset) + 5 + length
    let bytes = Array(try tail(of: fixture, from: start).prefix(Int(streamEnd - start)))
    let end = FileOffset(start) + ByteCount(bytes.count)
    let found = DeviceDescription.locate(inLast: bytes.span, endingAt: end)
    let place = try #require(found)
    #expect(place.rawValue == fixture.expected.descriptionOffset)

    let element = Array(bytes[Int(place.rawValue - start)...])
    let description = try parse(element, at: place, DeviceDescription.init(parsing:))
    #expect(UInt64(description.text.count) == fixture.expected.descriptionLength)
    #expect(encoded { description.encode(into: &$0) } == element)

    var input = ByteInput(bytes.span, at: FileOffset(start))
    let devices = description.devices.suffix(fulls.count)
    #expect(devices.count == fulls.count)
    for (device, section) in zip(devices, fulls) {
      #expect(input.offset.rawValue == section.offset)
      let head = try StreamElement(parsing: &input)
      let id = try #require(section.id)
      let identity = SectionIdentity(
        idstr: device.name, instanceID: device.instanceID, version: try #require(section.version))
      #expect(head == .full(id: id, identity))
      let body = input.offset
      let length = try DeviceDescription.bodyLength(of: device)
      #expect(length.rawValue == section.bodyLength)
      let decoded = DeviceStateDecoder.decode(device, from: &input)
      #expect(decoded.problem == nil)
      #expect(decoded.state.range == body..<(body + length))
      _ = try SectionFooter(parsing: &input, of: id, in: .section(device.name))
    }
    #expect(try StreamElement(parsing: &input) == .endOfStream)
    #expect(input.offset == place)
  }

  /// `globalstate` holds the state in which the VM was.
  @Test func stateOfTheVMIsText() throws {
    let fixture = try Fixture("microvm")
    let section = try #require(fixture.expected.sections.last)
    let bytes = try tail(of: fixture, from: section.offset)
    let found = DeviceDescription.locate(
      inLast: bytes.span, endingAt: FileOffset(section.offset) + ByteCount(bytes.count))
    let place = try #require(found)
    let description = try parse(
      Array(bytes[Int(place.rawValue - section.offset)...]), DeviceDescription.init(parsing:))
    let device = try #require(description.devices.last)
    #expect(device.name == "globalstate")
    var input = ByteInput(bytes.span, at: FileOffset(section.offset))
    _ = try StreamElement(parsing: &input)
    let fields = DeviceStateDecoder.decode(device, from: &input).state.fields
    let values = Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.value) })
    #expect(values["size"] == .unsigned(7))
    #expect(values["runstate"]?.text == "paused")
  }
}
