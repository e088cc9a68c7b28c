import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Streams of device state, put together by hand.
@Suite struct DeviceStateStreamTests {
  private static let blocks = [
    RAMBlockEntry(idstr: "a", usedLength: 0x4000), RAMBlockEntry(idstr: "b", usedLength: 0x2000),
  ]

  /// A stream with RAM, whose PARTs are `parts`, and two devices.
  private func stream(
    _ parts: [[(RAMRecord, fill: UInt8)]], blocks: [RAMBlockEntry] = Self.blocks
  ) -> StreamBuilder {
    var builder = StreamBuilder(machine: "none")
    builder.startRAM(blocks)
    for part in parts { builder.records(part) }
    builder.records([], isEnd: true)
    builder.device("timer", [1, 2, 3], id: 0)
    builder.device("x", [], id: 7)
    builder.end()
    return builder
  }

  private func read(_ builder: StreamBuilder) throws -> DeviceStateStream {
    try DeviceStateStream(reading: memoryFile(builder.bytes))
  }

  private func contents(
    _ parts: [[(RAMRecord, fill: UInt8)]]
  ) throws -> [[UInt8]?] {
    try read(stream(parts)).blocks.map { block in
      guard let bytes = try block.contents?.allBytes else { return nil }
      // One byte a page: all of a page are the same.
      for page in stride(from: 0, to: bytes.count, by: 4096) {
        #expect(bytes[page..<(page + 4096)].allSatisfy { $0 == bytes[page] })
      }
      return stride(from: 0, to: bytes.count, by: 4096).map { bytes[$0] }
    }
  }

  /// As many blocks with pages as there may be, in a process that may have few files open.
  @Test func manyBlocksTakeNoFileEach() async throws {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 64, rlim_max: 64)
      // SAFETY: only this process is limited.
      let limited = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      #expect(limited == 0)
      let names = (0..<ImageLimits.blocks).map { "block \($0)" }
      var builder = StreamBuilder(machine: "none")
      builder.startRAM(names.map { RAMBlockEntry(idstr: $0, usedLength: 0x2000) })
      builder.records(
        names.enumerated().map {
          (.page(offset: 0x1000, idstr: $0.element), UInt8(truncatingIfNeeded: $0.offset))
        })
      // Of the last but one nothing stays.
      builder.records([(.zero(offset: 0x1000, idstr: names[names.count - 2]), 0)], isEnd: true)
      builder.end()
      let stream = try DeviceStateStream(reading: memoryFile(builder.bytes))
      #expect(stream.blocks.count == names.count)
      for (index, block) in stream.blocks.enumerated() {
        let bytes = try #require(try block.contents?.allBytes)
        let fill = index == names.count - 2 ? 0 : UInt8(truncatingIfNeeded: index)
        #expect(bytes == [UInt8](repeating: 0, count: 4096) + [UInt8](repeating: fill, count: 4096))
      }
    }
  }

  @Test func aStreamWithoutRAMHasItsDevices() throws {
    var builder = StreamBuilder()
    builder.device("timer", [1, 2, 3], id: 0)
    builder.device("x", [], id: 1)
    builder.end()
    let stream = try read(builder)
    #expect(stream.configuration == nil && stream.blocks.isEmpty && stream.description == nil)
    #expect(stream.devices.map(\.identity.idstr) == ["timer", "x"])
    #expect(stream.devices.map(\.body.byteCount) == [3, 0])
    #expect(stream.devices.map(\.bytes.byteCount) == [27, 20])
    #expect(stream.preamble == [] && !stream.hasSwitchoverStart)
    // 1 is taken, by a device.
    #expect(stream.ramSectionID == 2)
  }

  /// The clock's low byte and the zeros behind it, as in the section of the timer once in 256 times.
  @Test func stateThatLooksLikeAFooterAndAnEndIsState() throws {
    var builder = StreamBuilder()
    let body: [UInt8] = [1, 2, 0x7E] + Array(repeating: 0, count: 8) + [9]
    builder.device("timer", body, id: 0)
    builder.device("x", [], id: 1)
    builder.end()
    #expect(try read(builder).devices.map(\.body.byteCount.rawValue) == [12, 0])
  }

  @Test func nothingButAnEndIsAStream() throws {
    var builder = StreamBuilder()
    builder.end()
    let stream = try read(builder)
    #expect(stream.devices.isEmpty && stream.ramSectionID == 1)
  }

  @Test func pagesGoToTheirBlocks() throws {
    let found = try contents([
      [(.page(offset: 0, idstr: "a"), 1), (.page(offset: 0x3000, idstr: nil), 4)],
      [(.page(offset: 0x1000, idstr: "b"), 9)],
    ])
    #expect(found == [[1, 0, 0, 4], [0, 9]])
  }

  @Test func blocksWithoutPagesHaveNoContents() throws {
    #expect(try contents([]) == [nil, nil])
    #expect(try contents([[(.zero(offset: 0, idstr: "b"), 0), (.flush, 0)]]) == [nil, nil])
  }

  @Test func theLastRecordOfAPageCounts() throws {
    let found = try contents([
      [
        (.page(offset: 0, idstr: "a"), 1), (.page(offset: 0, idstr: nil), 2),
        (.page(offset: 0x1000, idstr: nil), 3), (.zero(offset: 0x1000, idstr: nil), 0),
        (.page(offset: 0x2000, idstr: nil), 5), (.zero(offset: 0x2000, idstr: nil), 0),
        (.page(offset: 0x2000, idstr: nil), 6),
      ]
    ])
    #expect(found == [[2, 0, 6, 0], nil])
  }

  /// A record without a name is of the block of the record before, also of a section before, also of a zero.
  @Test func theBlockStaysAcrossSections() throws {
    let found = try contents([
      [(.zero(offset: 0, idstr: "b"), 0)], [(.flush, 0), (.page(offset: 0x1000, idstr: nil), 8)],
    ])
    #expect(found == [nil, [0, 8]])
  }

  /// Random records, some of them again: what a simple model says.
  @Test func randomRecordsGiveTheModelsMemory() throws {
    var generator = SeededGenerator()
    var model: [String: [UInt8]] = ["a": [0, 0, 0, 0], "b": [0, 0]]
    var parts: [[(RAMRecord, fill: UInt8)]] = [[]]
    var last: String?
    for _ in 0..<60 {
      if Int.random(in: 0..<8, using: &generator) == 0 { parts.append([]) }
      let name = Bool.random(using: &generator) ? "a" : "b"
      let page = Int.random(in: 0..<(name == "a" ? 4 : 2), using: &generator)
      let fill =
        Int.random(in: 0..<3, using: &generator) == 0
        ? 0 : UInt8.random(in: 1...255, using: &generator)
      let idstr = last == name && Bool.random(using: &generator) ? nil : name
      let offset = UInt64(page) * 4096
      parts[parts.count - 1].append(
        fill == 0
          ? (.zero(offset: offset, idstr: idstr), 0) : (.page(offset: offset, idstr: idstr), fill))
      model[name]?[page] = fill
      last = name
    }
    let found = try contents(parts)
    #expect((found[0] ?? [0, 0, 0, 0]) == model["a"])
    #expect((found[1] ?? [0, 0]) == model["b"])
  }

  @Test func whatStandsBeforeRAMIsThePreamble() throws {
    var builder = StreamBuilder(machine: "none")
    let start = builder.bytes.count
    StreamElement.command(Command(.postcopyAdvise)).encode(into: &builder.output)
    builder.device("early", [9], id: 5)
    let preamble = builder.bytes[start...]
    builder.startRAM(Self.blocks, id: 3)
    StreamElement.command(Command(.switchoverStart)).encode(into: &builder.output)
    builder.records([], isEnd: true, id: 3)
    builder.end()
    let stream = try read(builder)
    #expect(stream.preamble == Array(preamble))
    #expect(stream.ramSectionID == 3 && stream.hasSwitchoverStart)
    #expect(stream.devices.map(\.identity.idstr) == ["early"])
  }

  @Test func addressesAreReadWhereSharedMemoryIsIgnored() throws {
    var builder = StreamBuilder(machine: "none", capabilities: ["x-ignore-shared"])
    builder.startRAM([
      RAMBlockEntry(idstr: "a", usedLength: 0x1000, address: 0x6000_0000),
      RAMBlockEntry(idstr: "b", usedLength: 0x1000, address: 0),
    ])
    builder.records([(.page(offset: 0, idstr: "b"), 7)], isEnd: true)
    builder.end()
    let stream = try read(builder)
    #expect(stream.blocks.map(\.address) == [0x6000_0000, 0])
    #expect(stream.blocks.map { $0.contents != nil } == [false, true])
    #expect(stream.prologue().configuration.capabilities == ["mapped-ram"])
  }

  /// Wherever it is cut off, it is refused.
  @Test func everyShorterStreamIsRefused() throws {
    let whole = stream([[(.page(offset: 0, idstr: "a"), 1), (.zero(offset: 0, idstr: "b"), 0)]])
    _ = try read(whole)
    let places = Array(0..<200) + Array(4150..<whole.bytes.count)
    for count in places {
      #expect(throws: ImageError.self, "\(count) bytes") {
        try DeviceStateStream(reading: memoryFile(Array(whole.bytes.prefix(count))))
      }
    }
  }

  @Test(
    arguments: [
      (.page(offset: 0, idstr: nil), .recordWithoutBlock, .section("ram")),
      (.zero(offset: 0, idstr: "c"), .unlistedBlock, .ramBlock("c")),
      (
        .page(offset: 0x2000, idstr: "b"), .pageOutsideBlock(offset: 0x2000, usedLength: 0x2000),
        .ramBlock("b")
      ),
      (
        .page(offset: 0x400, idstr: "b"), .pageOutsideBlock(offset: 0x400, usedLength: 0x2000),
        .ramBlock("b")
      ),
    ] as [(RAMRecord, FormatError.Kind, FormatError.Context)])
  func recordsThatCannotBeAreRefused(
    _ record: RAMRecord, _ kind: FormatError.Kind, _ context: FormatError.Context
  ) throws {
    // The head of the PART is five bytes.
    var builder = StreamBuilder(machine: "none")
    builder.startRAM(Self.blocks)
    let offset = FileOffset(UInt64(builder.bytes.count + 5))
    #expect(
      throws: ImageError.format(
        FormatError(kind, at: offset, in: context), in: "memfd:bytes")
    ) { try read(stream([[(record, 1)]])) }
  }

  @Test func blockListsThatCannotBeAreRefused() throws {
    let twice = [Self.blocks[0], Self.blocks[0]]
    expectRefused(stream([], blocks: twice)) { $0 == .duplicateBlock }
    let odd = [RAMBlockEntry(idstr: "a", usedLength: 0x1400)]
    expectRefused(stream([], blocks: odd)) { kind in
      if case .usedLengthUnaligned = kind { true } else { false }
    }
    var second = StreamBuilder(machine: "none")
    second.startRAM(Self.blocks)
    second.startRAM(Self.blocks)
    second.end()
    expectRefused(second) { $0 == .ramSectionTwice }
  }

  @Test func anImageIsNoPlainStream() throws {
    let open = try OpenFixture("microvm")
    #expect {
      try DeviceStateStream(reading: open.file)
    } throws: { error in
      if case .format(let error, _)? = error as? ImageError {
        error.kind == .notPlain
      } else {
        false
      }
    }
  }

  private func expectRefused(
    _ builder: StreamBuilder, sourceLocation: SourceLocation = #_sourceLocation,
    _ isExpected: (FormatError.Kind) -> Bool
  ) {
    #expect(sourceLocation: sourceLocation) {
      try read(builder)
    } throws: { error in
      if case .format(let error, _)? = error as? ImageError {
        isExpected(error.kind)
      } else {
        false
      }
    }
  }
}
