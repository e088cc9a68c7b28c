import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What stands behind a stream is found, and damage to it is told, never taken for nothing.
@Suite struct AreaReadingTests {
  /// An image whose stream has a description, with an area of devices' states, one of a kind that nobody knows, and one more.
  private struct Made {
    let directory: TemporaryDirectory
    let path: FilePath
    let file: File
    /// Where the stream ends.
    let start: FileOffset
    /// Where what closes the areas begins.
    let closing: FileOffset
    let end: FileOffset

    init(isNeeded: Bool = false, text: [UInt8]? = nil) throws {
      directory = try TemporaryDirectory()
      path = directory.file("image")
      let state = TestDevice([.init(bytes: Array(1...200)), .init(bytes: [7])])
      let plan = try TestGuest(pages: 20, step: 2).plan(tail: TestGuest.describedTail())
      _ = try ImageSave(
        plan.with(devices: [DeviceSource(DeviceIdentity("gpu"), from: state)])
      ).run(to: path)
      file = try File.open(path, access: .readWrite, directIO: .off)
      let image = try Image(reading: file)
      #expect(image.problems == [] && image.remarks == [])
      start = try #require(image.tail?.upperBound)
      let area = try #require(image.deviceArea)
      let text = try text ?? #require(image.description?.text)
      let (unknown, last) = (area.end, area.end + ByteCount(100))
      closing = last + ByteCount(AreaHeader.byteCount)
      try Self.write("ABCD", needed: isNeeded, at: unknown, to: last, file)
      try Self.write("SEC0", needed: false, at: last, to: closing, file)
      var output = ByteOutput(at: closing)
      AreaClosing(firstArea: start, text: text).encode(into: &output)
      try file.write(output.bytes, at: closing.rawValue)
      end = output.offset
      try file.truncate(to: end.rawValue)
    }

    private static func write(
      _ kind: String, needed: Bool, at start: FileOffset, to end: FileOffset, _ file: File
    ) throws {
      let kind = try #require(AreaKind(Array(kind.utf8)))
      let header = AreaHeader(
        kind, version: 9, isNeeded: needed, range: start..<end, table: ByteOutput(at: end))
      try file.write(header.encoded.bytes, at: start.rawValue)
    }

    func image() throws -> Image { try Image(reading: file) }

    /// Flips a bit and flips it back behind `body`.
    func flipping(_ bit: Int, of offset: FileOffset, _ body: () throws -> Void) throws {
      let byte = try file.readBytes(at: offset.rawValue, count: 1)[0]
      try file.write([byte ^ 1 << UInt8(bit)], at: offset.rawValue)
      try body()
      try file.write([byte], at: offset.rawValue)
    }
  }

  private func kinds(_ areas: ImageAreas) -> [String] { areas.headers.map(\.kind.name) }

  private func problem(_ areas: ImageAreas) -> FormatError? {
    if case .damaged(_, let problem) = areas { problem } else { nil }
  }

  @Test func unknownAreasAreSkipped() throws {
    let made = try Made()
    let image = try made.image()
    #expect(image.problems == [] && image.remarks == [] && image.isComplete)
    #expect(kinds(image.areas) == ["DEVS", "ABCD", "SEC0"])
    #expect(image.deviceArea?.devices.map(\.identity) == [DeviceIdentity("gpu")])
    #expect(image.tail?.upperBound == made.start)
    #expect(try !restoreToMemory(made.path).isEmpty)
  }

  /// An image without areas has none, and is not said to have damaged ones.
  @Test func noAreasAreNone() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("image")
    _ = try ImageSave(try TestGuest(pages: 20, step: 2).plan()).run(to: path)
    #expect(try Image(at: path).areas == .none)
  }

  @Test func anUnknownAreaThatIsNeededIsRefused() throws {
    let made = try Made(isNeeded: true)
    let image = try made.image()
    #expect(problem(image.areas)?.kind == .area(.unknown(version: 9)))
    #expect(throws: ImageError.self) { try restoreToMemory(made.path) }
  }

  /// What follows the last line is harmless, and the areas are found right behind the stream.
  @Test func bytesBehindTheEndAreRemarked() throws {
    let made = try Made()
    try made.file.write([1, 2, 3], at: made.end.rawValue)
    let image = try made.image()
    #expect(image.problems == [] && image.remarks == [.bytesAfterEnd(3)])
    #expect(kinds(image.areas) == ["DEVS", "ABCD", "SEC0"])
  }

  /// Each bit of the headers and of all that closes them: told as damage at its place, and not restored.
  @Test func aFlippedBitIsNeverTakenForNothing() throws {
    let made = try Made()
    let headers = try made.image().areas.headers.map(\.range.lowerBound)
    let text = Int((made.end - made.closing).rawValue)
    let places =
      headers.flatMap { start in (0..<AreaHeader.byteCount).map { start + ByteCount($0) } }
      + (0..<5).map { made.closing + ByteCount($0) }
      + stride(from: 5, to: text - AreaLine.byteCount, by: 37).map { made.closing + ByteCount($0) }
      + ((text - AreaLine.byteCount)..<text).map { made.closing + ByteCount($0) }
    for place in places {
      for bit in [0, 3, 7] {
        try made.flipping(bit, of: place) {
          let image = try made.image()
          let damage = try #require(problem(image.areas), "bit \(bit) at \(place): \(image.areas)")
          #expect(image.problems.contains(damage), "bit \(bit) at \(place)")
          #expect(!image.isComplete, "bit \(bit) at \(place)")
          // Where the second area may be one that is needed, and where the first one, which is, cannot be read, nothing is restored.
          let area = headers.firstIndex { place >= $0 && place < $0 + ByteCount(64) }
          let isRefused = area == 0 || area == 1
          #expect((image.restoreProblem == damage) == isRefused, "bit \(bit) at \(place)")
          #expect((image.harmlessDamage == damage) == !isRefused, "bit \(bit) at \(place)")
          #expect((image.deviceArea == nil) == (area == 0), "bit \(bit) at \(place)")
          // The stream is as readable as before.
          #expect(image.tail?.upperBound == made.start, "bit \(bit) at \(place)")
        }
      }
    }
    #expect(try made.image().problems == [])
  }

  @Test func restoresOfDamagedAreasAreRefusedWithThePlace() throws {
    let made = try Made()
    try made.flipping(2, of: made.start + ByteCount(20)) {
      #expect {
        try restoreToMemory(made.path)
      } throws: { error in
        if case .format(let error, let path)? = error as? ImageError, case .area = error.kind {
          path == made.path && error.offset >= made.start
        } else {
          false
        }
      }
    }
  }

  /// What closes the areas is not needed, nor is an area of sums: the image is restored, devices' states as well, and the damage told.
  @Test func whatARestoreDoesNotNeedIsNoReasonToRefuse() throws {
    let made = try Made()
    for place in [made.end.rawValue - 3, made.end.rawValue - 20, made.closing.rawValue + 8] {
      try made.flipping(2, of: FileOffset(place)) {
        let device = TestDevice([])
        let outcome = try ImageRestore(made.file).run(
          device: { _ in device }, target: { _ in nil })
        #expect(device.loaded.map(\.1) == [Array(1...200), [7]])
        #expect(outcome.image.harmlessDamage != nil && outcome.image.restoreProblem == nil)
      }
    }
    let plan = try TestGuest(pages: 20, step: 2).plan(tail: TestGuest.describedTail())
    var save = ImageSave(plan)
    save.hasChecksums = true
    let path = made.directory.file("sums")
    _ = try save.run(to: path)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let header = try #require(try Image(at: path).areas.headers.first)
    for offset in [
      header.range.lowerBound, header.range.lowerBound + 20, header.table.lowerBound + 9,
    ] {
      let byte = try file.readBytes(at: offset.rawValue, count: 1)[0]
      try file.write([~byte], at: offset.rawValue)
      #expect(try restoreToMemory(path).count == 1)
      try file.write([byte], at: offset.rawValue)
    }
    // An image that was not finished is none, whatever stands behind it.
    try file.write([0xFF], at: header.range.lowerBound.rawValue + 20)
    let end = try #require(try Image(at: path).sections.first { $0.type == .end })
    try file.write([SectionType.part.rawValue], at: end.offset.rawValue)
    #expect(throws: ImageError.self) { try restoreToMemory(path) }
    #expect(try Image(at: path).restoreProblem?.kind == .incompleteSave)
  }

  /// A bit of a buffer shows where the state is loaded.
  @Test func aDamagedBufferIsNotLoaded() throws {
    let made = try Made()
    let buffer = try #require(made.image().deviceArea?.devices[0].buffers[0])
    try made.flipping(5, of: buffer.offset + ByteCount(100)) {
      #expect(
        throws: ImageError.device(
          DeviceIdentity("gpu"), .damaged(buffer: 0, at: buffer.offset.rawValue))
      ) {
        _ = try ImageRestore(made.file).run(device: { _ in TestDevice([]) }, target: { _ in nil })
      }
    }
    let device = TestDevice([])
    _ = try ImageRestore(made.file).run(device: { _ in device }, target: { _ in nil })
    #expect(device.loaded.map(\.1) == [Array(1...200), [7]])
  }

  /// Cut anywhere behind the stream: damaged. Cut at its end: an image without areas.
  @Test func aFileThatIsCutOffIsDamaged() throws {
    let made = try Made()
    let whole = try made.file.readBytes(
      at: made.start.rawValue, count: Int((made.end - made.start).rawValue))
    for count in stride(from: whole.count - 1, through: 1, by: -1)
    where count < 200 || count > whole.count - 400 || count % 101 == 0 {
      try made.file.truncate(to: made.start.rawValue + UInt64(count))
      let image = try made.image()
      #expect(problem(image.areas) != nil, "cut after \(count) bytes")
      #expect(!image.isComplete)
    }
    try made.file.truncate(to: made.start.rawValue)
    let image = try made.image()
    #expect(image.areas == .none && image.isComplete)
  }

  /// Areas that lead back, that overlap, or that are there twice, with sums that are right.
  @Test func areasThatLeadNowhereAreRefused() throws {
    let made = try Made()
    let headers = try made.image().areas.headers
    func replace(_ header: AreaHeader) throws -> FormatError.Kind? {
      let place = header.range.lowerBound.rawValue
      let old = try made.file.readBytes(at: place, count: AreaHeader.byteCount)
      try made.file.write(header.encoded.bytes, at: place)
      defer { try? made.file.write(old, at: place) }
      return problem(try made.image().areas)?.kind
    }
    var twice = headers[1]
    twice.kind = headers[2].kind
    #expect(try replace(twice) == .area(.twice))
    // Into the next one's middle, and into the closing line.
    for end in [headers[2].range.lowerBound + ByteCount(8), FileOffset(made.end.rawValue - 8)] {
      var long = headers[1]
      long.range = long.range.lowerBound..<end
      long.table = end..<end
      #expect(try replace(long) == .area(.noClosing))
    }
    var tooLong = headers[1]
    tooLong.range = tooLong.range.lowerBound..<(made.end + ByteCount(1))
    #expect(
      try replace(tooLong)
        == .area(.end(tooLong.range.byteCount, fileSize: made.end)))
  }

  /// As many as fit, each as short as one can be: refused at the limit.
  @Test func thereAreNoMoreThanTheLimit() throws {
    let made = try Made()
    var place = made.start
    for number in 0...ImageLimits.areas {
      let digits = String(number + 36 * 36 * 36, radix: 36, uppercase: true)
      let kind = try #require(AreaKind(Array(digits.utf8)))
      let next = place + ByteCount(AreaHeader.byteCount)
      let header = AreaHeader(
        kind, version: 1, isNeeded: false, range: place..<next, table: ByteOutput(at: next))
      try made.file.write(header.encoded.bytes, at: place.rawValue)
      place = next
    }
    let image = try made.image()
    #expect(problem(image.areas)?.kind == .area(.tooMany(limit: ImageLimits.areas)))
  }

  @Test func aCopyOfAnotherDescriptionIsDamage() throws {
    let made = try Made(text: Array(#"{"page_size": 4096, "devices": []}"#.utf8))
    #expect(problem(try made.image().areas)?.kind == .area(.descriptionCopy))
  }

  /// The line leads to the areas of another stream: of one that ends elsewhere.
  @Test func areasThatBeginElsewhereThanTheStreamEndsAreRefused() throws {
    let made = try Made()
    let bytes = try made.file.readBytes(
      at: made.start.rawValue, count: Int((made.end - made.start).rawValue))
    // One byte further on, but for the places in them, which are those of before: nothing fits.
    try made.file.write([0] + bytes, at: made.start.rawValue)
    #expect(problem(try made.image().areas) != nil)
  }

  /// What QEMU's script looks for at the end of the file is there.
  @Test func theScriptOfQEMUFindsTheDescription() throws {
    let made = try Made()
    let size = try made.file.size()
    let bytes = try made.file.readBytes(at: 0, count: Int(size))
    let zero = try #require(bytes.lastIndex(of: 0))
    let brace = try #require(bytes[zero...].firstIndex(of: UInt8(ascii: "{")))
    #expect(bytes[brace - 5] == 0x06)
    let length = bytes[(brace - 4)..<brace].reduce(0) { $0 << 8 | Int($1) }
    let text = try #require(made.image().description?.text)
    #expect(AreaClosing.isCopy(Array(bytes[brace...].prefix(length)), of: text))
  }
}
