import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Images made of a plain stream: prologue, blocks and tail.
@Suite struct DeviceStateTailTests {
  /// An image, made a stream, made an image again: the blocks, the sections and the description are the old ones.
  @Test(arguments: Fixture.complete.filter { $0.name != "ignore-shared" })
  func anImageOfAStreamIsTheOldImage(_ fixture: Fixture) throws {
    let open = try OpenFixture(fixture)
    let (_, stream) = try readBack(PlainStreamWriter(open.image, in: open.file))
    let hadSwitchoverStart = stream.hasSwitchoverStart
    let path = open.directory.file("again.img")
    try save(stream, switchoverStart: hadSwitchoverStart, to: path)
    let read = try ImageDecoderOracle.read(path)
    let blocks = try #require(read.blocks)
    let expected = try #require(fixture.expected.blocks)
    #expect(blocks.map(\.sha256) == expected.map(\.sha256))
    #expect(read.uuid == fixture.expected.uuid)
    #expect(read.targetPageBits == fixture.expected.targetPageBits)
    // RAM's id is that of the first section.
    let ram = fixture.expected.sections.first { $0.idstr == "ram" }?.id
    let sections = fixture.expected.sections.filter { $0.type != "part" || $0.id != ram }
    #expect(read.sections.map(\.type) == sections.map(\.type))
    #expect(read.sections.map(\.idstr) == sections.map(\.idstr))
    #expect(read.sections.map(\.bodyLength) == sections.map(\.bodyLength))
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.description?.devices.isEmpty == false && image.isComplete)
    if let text = open.image.description?.text {
      #expect(image.description?.text == text, "the description is QEMU's, to the byte")
    } else {
      try expectOpaqueDescription(of: image)
    }
  }

  /// Device state alone, as xen-save-devices-state gives it: the description is ours.
  @Test(arguments: ["q35", "arm-virt", "s390x", "alpha"], [false, true])
  func deviceSectionsAreDescribed(_ name: String, _ switchoverStart: Bool) throws {
    let open = try OpenFixture(name)
    let stream = try DeviceStateStream(reading: memoryFile(deviceState(of: open)))
    #expect(stream.devices.count == open.image.sections.count { $0.type == .full })
    let path = open.directory.file("again.img")
    let configuration = try #require(open.image.prologue?.configuration)
    let blocks = open.image.blocks.map { SavePlan.Block($0.block, pages: nil) }
    let prologue = stream.prologue(configuration)
    let plan = try SavePlan(
      prologue: prologue, blocks: blocks,
      tail: stream.tail(
        after: prologue, pageSize: blocks[0].block.pageSize, switchoverStart: switchoverStart,
        runState: .suspended),
      for: path)
    _ = try ImageSave(plan).run(to: path)
    let file = try File.open(path, access: .read)
    let image = try Image(reading: file)
    #expect(image.isComplete)
    #expect(try image.runState(in: file) == .suspended)
    #expect(image.sections.contains { $0.type == .command } == switchoverStart)
    try expectOpaqueDescription(of: image)
    // The configuration is described as QEMU itself described it.
    #expect(image.description?.configuration == open.image.description?.configuration)
    #expect(image.description?.pageSize == open.image.description?.pageSize)
  }

  /// The run state alone is another; everything else of the tail is the stream's.
  @Test func onlyTheRunStateChanges() throws {
    let open = try OpenFixture("q35")
    let (_, stream) = try readBack(PlainStreamWriter(open.image, in: open.file, carrying: []))
    let prologue = stream.prologue()
    let bytes = try [nil, RunState.running, .paused].map { state in
      try contents(
        stream.tail(
          after: prologue, pageSize: .fourKiB, switchoverStart: true, runState: state))
    }
    #expect(bytes[2] == bytes[0])
    #expect(bytes[1].count == bytes[0].count)
    let changed = bytes[0].indices.filter { bytes[0][$0] != bytes[1][$0] }
    // The length, and the letters of "paused" and "running".
    #expect(changed.count <= 8 && (changed.last ?? 0) - (changed.first ?? 0) < 11)
    #expect(changed.count > 1)
  }

  @Test func theTailIsFewParts() throws {
    let open = try OpenFixture("q35")
    let (_, stream) = try readBack(PlainStreamWriter(open.image, in: open.file, carrying: []))
    let tail = try stream.tail(
      after: stream.prologue(), pageSize: .fourKiB, switchoverStart: true)
    #expect(tail.count == 3)
  }

  private func contents(_ parts: [StreamBytes]) throws -> [UInt8] {
    try parts.reduce(into: []) { all, part in
      switch part {
      case .bytes(let bytes): all += bytes
      case .reserved: throw HarnessError("nobody writes these")
      case .file(let file, let range):
        all += try file.readBytes(
          at: range.lowerBound.rawValue, count: Int(range.byteCount.rawValue))
      }
    }
  }

  private func save(
    _ stream: DeviceStateStream, switchoverStart: Bool, to path: FilePath
  ) throws {
    let prologue = stream.prologue()
    let tail = try stream.tail(
      after: prologue, pageSize: stream.blocks[0].pageSize,
      switchoverStart: switchoverStart)
    let plan = try SavePlan(
      prologue: prologue,
      blocks: stream.blocks.map { SavePlan.Block($0.block, pages: $0.contents) }, tail: tail,
      for: path)
    _ = try ImageSave(plan).run(to: path)
  }

  /// Header, device sections, EOF.
  private func deviceState(of open: OpenFixture) throws -> [UInt8] {
    var output = ByteOutput()
    StreamHeader().encode(into: &output)
    for section in open.image.sections where section.type == .full {
      output.write(
        try open.file.readBytes(
          at: section.offset.rawValue, count: Int(section.byteCount.rawValue)))
    }
    StreamElement.endOfStream.encode(into: &output)
    return output.bytes
  }

  /// Each device is one opaque field, as long as its section; our decoder takes it.
  private func expectOpaqueDescription(of image: Image) throws {
    let devices = try #require(image.description?.devices)
    let sections = image.sections.filter { $0.type == .full }
    #expect(devices.map(\.name) == sections.map(\.identity?.idstr))
    let file = try File.open(image.path, access: .read)
    for (device, section) in zip(devices, sections) {
      #expect(try DeviceDescription.bodyLength(of: device) == section.body.byteCount)
      let bytes = try file.readBytes(
        at: section.body.lowerBound.rawValue, count: Int(section.body.byteCount.rawValue))
      var input = ByteInput(bytes.span)
      let decoded = DeviceStateDecoder.decode(device, from: &input)
      #expect(decoded.problem == nil && input.remaining == 0)
    }
  }
}
