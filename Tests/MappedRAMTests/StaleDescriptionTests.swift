import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// An older image that was longer has left its description at the end of the file: it says nothing of the image that is there now.
@Suite struct StaleDescriptionTests {
  /// What an older description may be like.
  enum Stale: CaseIterable, Sendable {
    /// No description, though it looks like one.
    case malformed
    /// One with lengths that no section can have.
    case overflowing
    /// One by which a section ends within its body, where something like a footer is.
    case shorter

    var bytes: [UInt8] {
      switch self {
      case .malformed: StaleDescriptionTests.description("{\"page_size\": 4096, \"devices\": 5}")
      case .overflowing:
        StaleDescriptionTests.description(sizes: [1 << 62, 1 << 62, 1 << 62, 1 << 62])
      case .shorter: StaleDescriptionTests.description(sizes: [1])
      }
    }
  }

  /// Behind what looks like its footer stands what no section begins with.
  private static let body: [UInt8] = [1, 0x7E, 0, 0, 0, 9, 2, 0, 0, 0, 77, 3]
  /// Behind what looks like its footer stands the head of another section.
  private static let imitation: [UInt8] = {
    var output = ByteOutput()
    output.write([1])
    SectionFooter(id: 9).encode(into: &output)
    StreamElement.full(id: 9, SectionIdentity(idstr: "y", instanceID: 0, version: 1))
      .encode(into: &output)
    output.write([2])
    return output.bytes
  }()

  private static func description(_ text: String) -> [UInt8] {
    var output = ByteOutput()
    output.writeBigEndian(SectionType.description.rawValue)
    output.writeBigEndian(UInt32(text.utf8.count))
    output.write(text.utf8)
    return output.bytes
  }

  /// A description of the device `x`, with fields of these sizes.
  private static func description(sizes: [Int]) -> [UInt8] {
    let fields = sizes.map { "{\"name\": \"a\", \"type\": \"buffer\", \"size\": \($0)}" }
    return description(
      """
      {"page_size": 4096, "devices": [{"name": "x", "instance_id": 0, "vmsd_name": "x", \
      "version": 1, "fields": [\(fields.joined(separator: ", "))]}]}
      """)
  }

  private static func section(_ element: StreamElement, id: UInt32, _ body: [UInt8]) -> [UInt8] {
    var output = ByteOutput()
    element.encode(into: &output)
    output.write(body)
    SectionFooter(id: id).encode(into: &output)
    return output.bytes
  }

  private static func device(_ body: [UInt8]) -> [UInt8] {
    section(.full(id: 9, SectionIdentity(idstr: "x", instanceID: 0, version: 1)), id: 9, body)
  }

  private static let endOfRAM = section(.end(id: 1), id: 1, [0, 0, 0, 0, 0, 0, 0, 0x10])

  /// An image without RAM with `preamble` before its RAM section and `tail` behind it.
  private func file(preamble: [UInt8] = [], _ tail: [UInt8]) throws -> File {
    let configuration = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram"])])
    let prologue = StreamPrologue(configuration: configuration, preamble: preamble)
    var output = prologue.encoded(at: .zero)
    RAMWord.memorySize(.zero).encode(into: &output)
    output.write(prologue.encodedListEnd(at: output.offset).bytes)
    return try memoryFile(output.bytes + tail)
  }

  /// What is read of the image, by who looks and by who restores.
  private func read(_ file: File) throws -> Image {
    let image = try Image(reading: file)
    #expect(image.problems == [])
    let restored = try ImageRestore(file).run { _ in nil }.image
    #expect(restored.sections == image.sections && restored.tail == image.tail)
    #expect(restored.prologue == image.prologue)
    return image
  }

  @Test(arguments: Stale.allCases, [true, false])
  func whatIsBehindTheImageDecidesNothing(stale: Stale, isDescribed: Bool) throws {
    let own = isDescribed ? Self.description(sizes: [Self.body.count]) : []
    let tail = Self.endOfRAM + Self.device(Self.body) + [0] + own
    let image = try read(file(tail + [0xFF] + stale.bytes))
    #expect(image.sections.first { $0.type == .full }?.body.byteCount == ByteCount(Self.body.count))
    #expect(image.remarks.contains(.bytesAfterEnd(ByteCount(1 + stale.bytes.count))))
    #expect(image.remarks.contains(.noDescription) == !isDescribed)
    #expect(image.description?.devices.count == (isDescribed ? 1 : nil))
  }

  @Test(arguments: Stale.allCases)
  func plainStreams(stale: Stale) throws {
    var builder = StreamBuilder()
    builder.device("x", Self.body, id: 9)
    builder.end()
    let own = Self.description(sizes: [Self.body.count])
    let stream = try DeviceStateStream(
      reading: try memoryFile(builder.bytes + own + [0xFF] + stale.bytes))
    #expect(stream.devices.map(\.body.byteCount) == [ByteCount(Self.body.count)])
  }

  /// Sections before RAM have the lengths of the same description as those behind it: also where none ends the file, and where the one
  /// that does tells others.
  @Test(arguments: [[], [0xFF], [0xFF] + Stale.shorter.bytes, [0xFF] + Stale.overflowing.bytes])
  func sectionsBeforeRAM(behind: [UInt8]) throws {
    let own = Self.description(sizes: [Self.imitation.count])
    let image = try read(
      file(preamble: Self.device(Self.imitation), Self.endOfRAM + [0] + own + behind))
    let devices = image.sections.filter { $0.type == .full }
    #expect(devices.map(\.identity?.idstr) == ["x"])
    #expect(devices.map(\.body.byteCount) == [ByteCount(Self.imitation.count)])
    #expect(image.prologue?.preamble == Self.device(Self.imitation))
  }

  /// A description that the stream does lead to is the image's, and what is wrong with it a problem.
  @Test(arguments: [[], [0xFF], [0xFF] + Stale.shorter.bytes])
  func theImagesOwnIsHeldAgainstIt(behind: [UInt8]) throws {
    let tail = Self.endOfRAM + Self.device(Self.body) + [0] + Stale.malformed.bytes
    let file = try file(tail + behind)
    let image = try Image(reading: file)
    #expect(image.problems.count == 1)
    let error = #expect(throws: ImageError.self) { try ImageRestore(file).run { _ in nil } }
    guard case .format(let problem, _)? = error else { return }
    #expect(image.problems == [problem] && problem.context == .description)
  }
}
