import LinuxIO
import MappedRAM
import MappedRAMFormat
import Testing

/// The lengths of sections are those of the description that the stream leads to, wherever that is.
@Suite struct DescriptionPlaceTests {
  /// The head of a second device's section, in the state of the first, behind what looks like its footer.
  private static let state: [UInt8] = {
    var output = ByteOutput()
    output.write([1])
    SectionFooter(id: 9).encode(into: &output)
    StreamElement.full(id: 9, SectionIdentity(idstr: "y", instanceID: 0, version: 1))
      .encode(into: &output)
    output.write([2])
    return output.bytes
  }()

  private func description(_ pageSize: Int, device byteCount: Int) throws -> [UInt8] {
    let text = """
      {"page_size": \(pageSize), "devices": [{"name": "x", "instance_id": 0, "vmsd_name": "x", \
      "version": 1, "fields": [{"name": "a", "type": "buffer", "size": \(byteCount)}]}]}
      """
    var output = ByteOutput()
    try DeviceDescription(text: Array(text.utf8)).encode(into: &output)
    return output.bytes
  }

  private func read(
    _ builder: StreamBuilder, _ more: [UInt8]
  ) throws -> DeviceStateStream {
    try DeviceStateStream(reading: try memoryFile(builder.bytes + more))
  }

  @Test(arguments: [[], [0], [0x7E, 0, 0, 0, 9]] as [[UInt8]])
  func bytesBehindTheDescriptionChangeNothing(behind: [UInt8]) throws {
    var builder = StreamBuilder()
    builder.device("x", Self.state, id: 9)
    builder.end()
    let more = try description(4096, device: Self.state.count)
    let stream = try read(builder, more + behind)
    #expect(stream.devices.map(\.identity.idstr) == ["x"])
    #expect(stream.devices.map(\.body.byteCount) == [ByteCount(Self.state.count)])
  }

  /// A device that comes twice, with states of other lengths, in a stream without a description: the one that is made for the image
  /// has both, and leads to the same sections.
  @Test func sectionsOfOneDeviceHaveLengthsOfTheirOwn() throws {
    var builder = StreamBuilder(machine: "none")
    builder.device("x", [], id: 9)
    builder.device("x", Array(Self.state.prefix(1 + SectionFooter.byteCount)), id: 9)
    builder.device("x", [1, 2, 3], id: 9)
    builder.end()
    let stream = try read(builder, [])
    let lengths = [0, 6, 3].map { ByteCount($0) }
    #expect(stream.devices.map(\.body.byteCount) == lengths)
    let tail = try stream.tail(
      after: stream.prologue(), pageSize: .fourKiB, switchoverStart: false)
    let bytes = try tail.flatMap { part -> [UInt8] in
      switch part {
      case .bytes(let bytes): bytes
      case .file(let file, let range):
        try file.readBytes(at: range.lowerBound.rawValue, count: Int(range.byteCount.rawValue))
      case .reserved: []
      }
    }
    let again = try DeviceStateStream(reading: try memoryFile(bytes))
    #expect(again.devices.map(\.body.byteCount) == lengths)
  }

  /// QEMU before 10.0 may describe more than there is; where a footer is, it counts, and else the file is cut off.
  @Test(arguments: [true, false], [5000, 1 << 62])
  func lengthPastTheEndOfTheFileIsNotTheLastWord(hasFooter: Bool, length: Int) throws {
    var builder = StreamBuilder()
    if hasFooter {
      builder.device("x", [1, 2, 3], id: 9)
    } else {
      StreamElement.full(id: 9, SectionIdentity(idstr: "x", instanceID: 0, version: 1))
        .encode(into: &builder.output)
    }
    let start = FileOffset(UInt64(builder.bytes.count))
    builder.end()
    let more = try description(4096, device: length)
    guard !hasFooter else {
      #expect(try read(builder, more).devices.map(\.body.byteCount) == [3])
      return
    }
    let error = #expect(throws: ImageError.self) { try read(builder, more) }
    guard case .format(let problem, _)? = error else { return }
    let available = ByteCount(1 + more.count)
    #expect(problem.kind == .truncated(needed: ByteCount(length), available: available))
    #expect(problem.offset == start)
  }

  /// By the description's lengths the device goes on behind the description.
  @Test func descriptionThatLeadsPastItselfIsRefused() throws {
    var builder = StreamBuilder()
    builder.device("x", [1], id: 9)
    let place = FileOffset(UInt64(builder.bytes.count + 1))
    builder.end()
    let element = try description(4096, device: 400)
    let rest = 400 - 1 - SectionFooter.byteCount - 1 - element.count
    let more = element + [UInt8](repeating: 1, count: rest) + [0x7E, 0, 0, 0, 9, 0, 1]
    let error = #expect(throws: ImageError.self) { try read(builder, more) }
    guard case .format(let problem, _)? = error else { return }
    #expect(problem.kind == .descriptionElsewhere(found: nil, expected: place))
  }

  /// An image that is made of such a stream would be refused for it.
  @Test func anotherPageSizeIsRefused() throws {
    var builder = StreamBuilder()
    Configuration(machineType: "none", subsections: [.targetPageBits(12)])
      .encode(into: &builder.output)
    builder.device("x", Self.state, id: 9)
    builder.end()
    #expect(try read(builder, description(4096, device: Self.state.count)).devices.count == 1)
    let error = #expect(throws: ImageError.self) {
      try read(builder, description(8192, device: Self.state.count))
    }
    guard case .format(let problem, _)? = error else { return }
    let found = try #require(PageSize(byteCount: 8192))
    #expect(problem.kind == .pageSizeDiffers(found: found, expected: .fourKiB))
  }
}
