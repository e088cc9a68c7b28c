import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Plain streams made of images, read back.
@Suite struct PlainStreamWriterTests {
  /// What the stream has is what the image has: blocks, contents, sections, description.
  @Test(arguments: Fixture.complete, [false, true])
  func streamHasWhatTheImageHas(_ fixture: Fixture, _ writesZeros: Bool) throws {
    let open = try OpenFixture(fixture)
    let made = try PlainStreamWriter(open.image, in: open.file, writesZeros: writesZeros)
    let (_, stream) = try readBack(made)
    let prologue = try #require(open.image.prologue)
    #expect(stream.configuration == prologue.configuration.withoutMappedRAM)
    #expect(stream.configuration == made.configuration)
    #expect(stream.preamble == prologue.preamble)
    #expect(stream.ramSectionID == prologue.ramSectionID)
    #expect(stream.description == open.image.description)
    #expect(stream.blocks.map(\.address) == open.image.blocks.map(\.block.address))
    for (block, expected) in zip(stream.blocks, try #require(fixture.expected.blocks)) {
      #expect(block.idstr == expected.idstr)
      #expect(block.usedLength.rawValue == expected.usedLength)
      if let contents = block.contents {
        #expect(
          try sha256(of: contents, in: open.directory) == expected.sha256, "\(expected.idstr)")
      } else {
        #expect((expected.present ?? 0) == 0)
      }
    }
    try expectSections(of: stream, from: open)
  }

  /// All elements but RAM's PARTs, with the same bytes; for them one PART.
  private func expectSections(of stream: DeviceStateStream, from open: OpenFixture) throws {
    func others(_ sections: [ImageSection]) -> [ImageSection] {
      sections.filter { $0.type != .configuration && $0.identity != .ram }
    }
    let (found, expected) = (others(stream.sections), others(open.image.sections))
    #expect(found.map(\.type) == expected.map(\.type))
    for (found, expected) in zip(found, expected) {
      #expect(found.identity == expected.identity)
      let count = Int(expected.byteCount.rawValue)
      #expect(
        try stream.file.readBytes(at: found.offset.rawValue, count: count)
          == open.file.readBytes(at: expected.offset.rawValue, count: count))
    }
    let ram = stream.sections.filter { $0.identity == .ram }.map(\.type)
    #expect(ram == [.start, .part, .end])
  }

  /// Only the blocks that were asked for have pages, and the stream is about as long as they are.
  @Test func onlyChosenBlocksTravel() throws {
    let open = try OpenFixture("q35")
    let others = Set(open.image.blocks.map(\.idstr)).subtracting(["pc.ram"])
    let (bytes, stream) = try readBack(
      PlainStreamWriter(open.image, in: open.file, carrying: others))
    let present = open.image.blocks.filter { others.contains($0.idstr) }
      .reduce(0) { $0 + ($1.pagesPresent ?? 0) }
    #expect(bytes.count < present * 4120 + 200_000)
    for block in stream.blocks {
      let expected = open.image.blocks.first { $0.idstr == block.idstr }
      let isCarried = others.contains(block.idstr) && expected?.pagesPresent != 0
      #expect((block.contents != nil) == isCarried, "\(block.idstr)")
    }
    let (empty, _) = try readBack(PlainStreamWriter(open.image, in: open.file, carrying: []))
    #expect(empty.count < 200_000)
  }

  @Test func blocksAreRenamed() throws {
    let open = try OpenFixture("microvm")
    let names = open.image.blocks.map(\.idstr)
    let (_, stream) = try readBack(
      PlainStreamWriter(
        open.image, in: open.file, renaming: [names[0]: names[1], names[1]: names[0]]))
    #expect(stream.blocks.map(\.idstr) == [names[1], names[0]] + names[2...])
    let expected = try #require(open.fixture.expected.blocks)
    for index in 0...1 {
      let contents = try #require(stream.blocks[index].contents)
      #expect(try sha256(of: contents, in: open.directory) == expected[index].sha256)
    }
  }

  @Test func namesThatCannotBeAreRefused() throws {
    let open = try OpenFixture("microvm")
    let names = open.image.blocks.map(\.idstr)
    let unknown = ImageError.plan(.unknownBlock("x", known: names))
    #expect(throws: unknown) {
      try PlainStreamWriter(open.image, in: open.file, carrying: ["x", names[0]])
    }
    #expect(throws: unknown) {
      try PlainStreamWriter(open.image, in: open.file, renaming: ["x": "y"])
    }
    for (name, kind) in [(names[1], FormatError.Kind.duplicateBlock), ("", .nameEmpty)] {
      #expect(
        throws: ImageError.format(
          FormatError(kind, at: 0, in: .ramBlock(name)), in: open.image.path)
      ) { try PlainStreamWriter(open.image, in: open.file, renaming: [names[0]: name]) }
    }
  }

  @Test(arguments: ["killed", "background-snapshot"])
  func anImageThatIsNotWholeIsRefused(_ name: String) throws {
    let open = try OpenFixture(name)
    let problem = try #require(open.image.problems.first)
    #expect(throws: ImageError.format(problem, in: open.image.path)) {
      try PlainStreamWriter(open.image, in: open.file)
    }
  }

  /// The stream says another state and is the same otherwise.
  @Test func theRunStateIsSet() throws {
    let open = try OpenFixture("q35")
    var made = try PlainStreamWriter(open.image, in: open.file, carrying: [])
    let (before, _) = try readBack(made)
    made.runState = .running
    let (after, stream) = try readBack(made)
    let device = try #require(stream.devices.last { $0.identity.idstr == "globalstate" })
    let body = Int(device.body.lowerBound.rawValue)
    #expect(after[..<body] == before[..<body])
    #expect(after[(body + 36)...] == before[(body + 36)...])
    #expect(Array(after[(body + 4)..<(body + 12)]) == Array("running\0".utf8))
  }

  /// A pipe gets what a file gets.
  @Test func aDescriptorGetsTheSameBytes() throws {
    let open = try OpenFixture("microvm")
    let made = try PlainStreamWriter(open.image, in: open.file)
    let (bytes, _) = try readBack(made)
    let path = open.directory.file("stream")
    let target = try FileDescriptor.open(
      path, .writeOnly, options: [.create], permissions: .ownerReadWrite)
    let progress = TransferProgress()
    let count = try target.closeAfter {
      try made.write(toDescriptor: target.rawValue, progress: progress)
    }
    #expect(count == UInt64(bytes.count) && progress.writtenBytes == count)
    #expect(progress.doneBytes == progress.totalBytes)
    #expect(progress.totalBytes == open.fixture.expected.total)
    let file = try File.open(path, access: .read, directIO: .off)
    #expect(try file.readBytes(at: 0, count: bytes.count + 1) == bytes)
  }

  @Test func aFailingDescriptorIsAnError() throws {
    let open = try OpenFixture("microvm")
    let made = try PlainStreamWriter(open.image, in: open.file)
    let full = try FileDescriptor.open(FilePath("/dev/full"), .writeOnly)
    _ = try full.closeAfter {
      #expect {
        try made.write(toDescriptor: full.rawValue)
      } throws: { error in
        if case .system(let error)? = error as? ImageError {
          error.errno == .noSpace
        } else {
          false
        }
      }
    }
  }

  @Test func aCancellationEndsIt() throws {
    let open = try OpenFixture("microvm")
    let made = try PlainStreamWriter(open.image, in: open.file)
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      try made.write(to: memoryFile([]), cancellation: cancellation)
    }
  }

  /// An image that is cut off between its reading and its use.
  @Test func anImageThatWasCutOffIsAnError() throws {
    let open = try OpenFixture("microvm")
    let made = try PlainStreamWriter(open.image, in: open.file)
    let slots = try #require(open.image.blocks[0].layout.pages)
    try open.file.truncate(to: slots.lowerBound.rawValue + 5000)
    #expect(throws: ImageError.self) { try made.write(to: memoryFile([])) }
  }

  private func sha256(of pages: FilePages, in directory: TemporaryDirectory) throws -> String {
    let path = directory.file("contents")
    try Subprocess.succeed(["rm", "-f", path.string])
    try Subprocess.succeed(["truncate", "-s", String(pages.byteCount), path.string])
    let target = try File.open(path, access: .readWrite, directIO: .off)
    var position: UInt64 = 0
    while let data = try pages.nextData(in: position..<pages.byteCount) {
      let count = Int(data.upperBound - data.lowerBound)
      let bytes = try pages.file.readBytes(at: pages.start + data.lowerBound, count: count)
      try target.write(bytes, at: data.lowerBound)
      position = data.upperBound
    }
    return try MappedRAMTests.sha256(path)
  }
}
