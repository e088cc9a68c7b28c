import LinuxIO
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands

/// Everything that can be read of a damaged image is shown, and one sentence says what is wrong.
@Suite struct InspectDamageTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private static let all = ["--devices", "--pages"]

  /// Cuts a copy of the fixture shorter and shorter: at every byte near structures, at some within pages.
  @Test(arguments: ["uuid", "libvirt"])
  func aFileCutAnywhereIsRefusedInOneSentence(_ name: String) throws {
    let fixture = try Fixture(name)
    let path = try fixture.unpack(into: directory)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let expected = fixture.expected
    let blocks = try #require(expected.blocks)
    let tail = try #require(blocks.last.map { $0.pagesOffset + $0.usedLength })
    let first = try #require(blocks.first).bitmapOffset + 20
    // Some hundred cuts of the device state: an image of libvirt's has no other there.
    var lengths =
      expected.libvirt == nil ? Array(stride(from: tail, to: expected.fileSize, by: 131)) : []
    lengths += blocks.flatMap { [$0.offset, $0.bitmapOffset, $0.pagesOffset, $0.pagesOffset + 1] }
    lengths += expected.sections.flatMap { [$0.offset, $0.offset + 1] }
    lengths += expected.libvirt == nil ? 0..<first : expected.streamOffset - 20..<first
    lengths += [0, 1, 15, 16, 91, 92, 93]
    for length in Set(lengths).sorted(by: >) where length < expected.fileSize {
      try file.truncate(to: length)
      let json = try InspectOutcome(path, Self.all + ["--json"])
      #expect(json.status == 65, "cut at \(length)")
      #expect(json.complaints.count == 1, "cut at \(length)")
      guard length >= expected.streamOffset + 8 else { continue }
      let found: InspectedImage = try json.decoded()
      #expect(found.problems.count == 1 && !found.complete, "cut at \(length)")
      #expect(
        json.complaints == found.problems.map { "\(path): \($0.message)" }, "cut at \(length)")
      let whole = blocks.prefix { $0.pagesOffset + $0.usedLength <= length }
      #expect(found.blocks.map(\.idstr) == whole.map(\.idstr), "cut at \(length)")
    }
  }

  /// A file of libvirt's is one however it was cut or changed behind its first 16 bytes, and that is said.
  @Test(arguments: [
    ("cut", 16), ("cut", 91), ("cut", 92), ("cut", 93), ("cut", 1000), ("change", 16),
    ("change", 20),
    ("change", 28), ("change", 32), ("change", 92),
  ])
  func aDamagedFileOfLibvirtsIsLibvirts(_ how: String, _ place: UInt64) throws {
    let fixture = try Fixture("libvirt")
    let path = try fixture.unpack(into: directory)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    if how == "cut" {
      try file.truncate(to: place)
    } else {
      // From here to the end of the header or of the data area.
      let end = place < 92 ? place + 4 : fixture.expected.streamOffset
      try file.write([UInt8](repeating: 0xEE, count: Int(end - place)), at: place)
    }
    let json = try InspectOutcome(path, ["--json"])
    let found: InspectedImage = try json.decoded()
    #expect(json.status == 65 && json.complaints.count == 1)
    #expect(found.container == "libvirt" && found.libvirt == nil && !found.complete)
    #expect(found.problems.count == 1)
    let text = try InspectOutcome(path).output
    let known = "Container     libvirt, version 2, little-endian, payload \"sparse\"\n"
    let hasHeader = place >= 92
    #expect(
      text.contains(hasHeader ? known : "Container     libvirt, whose header cannot be read\n"))
    // Where only the text is damaged, the stream can be read.
    let isWhole = how == "change" && hasHeader
    #expect(found.blocks.count == (isWhole ? fixture.expected.blocks?.count : 0))
    #expect((found.machineType != nil) == isWhole)
    #expect(found.streamOffset == (hasHeader ? fixture.expected.streamOffset : 0))
  }

  /// For people the problem comes last, and stderr says that there is one; with JSON, which.
  @Test func problemsStandAtTheEnd() throws {
    let path = try Fixture("killed").unpack(into: directory)
    let outcome = try InspectOutcome(path, Self.all)
    let complaint = try #require(outcome.complaints.first)
    #expect(outcome.status == 65)
    #expect(outcome.complaints.count == 1)
    #expect(outcome.output.contains("Complete      no (1 problem, see below)\n"))
    #expect(
      complaint == "\(path): the image is damaged or incomplete: 1 problem, listed above.")
    let problem = try #require(try InspectOutcome(path, ["--json"]).complaints.first)
    #expect(outcome.output.hasSuffix("\nProblems\n  \(problem.dropFirst("\(path): ".count))\n"))
  }

  /// One changed byte at a time: whatever it makes of the image, there is an end and an answer.
  @Test func anyByteMayBeChanged() throws {
    let fixture = try Fixture("uuid")
    let path = try fixture.unpack(into: directory)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    var generator = SeededGenerator()
    let start = try #require(fixture.expected.sections.dropFirst().first).offset
    let places = Array(0..<300) + Array(start..<fixture.expected.fileSize)
    for _ in 0..<200 {
      let place = try #require(places.randomElement(using: &generator))
      let before = try file.readBytes(at: place, count: 1)
      try file.write([UInt8.random(in: 0...255, using: &generator)], at: place)
      let outcome = try InspectOutcome(path, Self.all + ["--json"])
      #expect(outcome.status == (outcome.complaints.isEmpty ? 0 : 65), "byte at \(place)")
      try file.write(before, at: place)
    }
    #expect(try InspectOutcome(path).status == 0)
  }

  @Test(arguments: ["directory", "FIFO", "character device"])
  func otherKindsOfFilesAreRefusedAtOnce(_ kind: String) throws {
    let path: FilePath
    switch kind {
    case "directory": path = directory.path
    case "FIFO":
      path = directory.file("fifo")
      try Subprocess.succeed(["mkfifo", path.string])
    default: path = "/dev/zero"
    }
    let outcome = try InspectOutcome(path)
    #expect(outcome.status == 65)
    #expect(outcome.output == "")
    #expect(outcome.complaints.count == 1)
    #expect(outcome.complaints[0].contains("is a \(kind)"))
  }

  @Test func whatIsNoImageGivesNothingButTheSentence() throws {
    let path = directory.file("text")
    try Subprocess.succeed(["sh", "-c", "echo hello world > '\(path)'"])
    for arguments in [[], ["--json"]] {
      let outcome = try InspectOutcome(path, arguments)
      #expect(outcome.status == 65)
      #expect(outcome.output.isEmpty == arguments.isEmpty)
      if !arguments.isEmpty {
        let error = try #require(try outcome.object()["error"] as? [String: Any])
        #expect(error["message"] as? String == outcome.complaints.first)
      }
      #expect(
        outcome.complaints == [
          "\(path): stream header at 0x0: expected the magic \"QEVM\", found 0x68 0x65 0x6c 0x6c: this looks like a "
            + "text file."
        ])
    }
  }

  @Test func aFileThatIsNotThereIsAnErrorOfReading() throws {
    let outcome = try InspectOutcome(directory.file("none"))
    #expect(outcome.status == 74)
    #expect(outcome.complaints.count == 1)
  }

  @Test func anOffsetThatIsNotTheStreamsIsRefused() throws {
    let path = try Fixture("offset").unpack(into: directory)
    #expect(try InspectOutcome(path, ["--offset", "4096"]).status == 0)
    #expect(try InspectOutcome(path, ["--offset", "4K"]).status == 0)
    for offset in ["0", "4095", "4097", "\(UInt64.max)"] {
      #expect(try InspectOutcome(path, ["--offset", offset]).status == 65)
    }
  }
}
