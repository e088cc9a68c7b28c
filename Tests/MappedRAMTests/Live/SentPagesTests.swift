import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// A guest whose memory is protected: it sends each page before it changes it, as QEMU does. Its memory is files, which it changes by
/// calls, as QEMU's is changed by another process.
private struct SendingGuest: Sendable {
  let blocks: [(block: RAMBlock, memory: File)]
  private let socket: UnixSocket
  /// Where the pages come.
  let ours: UnixSocket

  /// A guest with the memory of `guest`.
  init(_ guest: TestGuest) throws {
    blocks = try guest.blocks.indices.map { index in
      (guest.blocks[index].block, try memoryFile(guest.contents(index)))
    }
    (ours, socket) = try UnixSocket.pair()
  }

  func plan(_ way: MeanwhileTests.Way = .process) throws -> SavePlan {
    let planned = try blocks.map { block, memory in
      SavePlan.Block(block, pages: try way.pages(of: memory, block.usedLength.rawValue))
    }
    return try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration), blocks: planned,
      tail: [.bytes(TestGuest.tail)], for: "plan")
  }

  func send(_ output: ByteOutput) throws {
    try socket.send(output.bytes, deadline: .now + .seconds(60))
  }

  func hangUp() { socket.shutdown() }

  /// The start of the stream, up to the first PART.
  func begin() throws {
    var output = ByteOutput()
    // What stands before RAM is passed over, whatever it is.
    output.write([UInt8](repeating: 1, count: 777))
    StreamElement.start(id: 7, .ram).encode(into: &output)
    let total = blocks.reduce(ByteCount.zero) { $0 + $1.block.usedLength }
    RAMWord.memorySize(total).encode(into: &output)
    for (block, _) in blocks {
      RAMBlockEntry(idstr: block.idstr, usedLength: block.usedLength).encode(into: &output)
    }
    RAMWord.endOfSection.encode(into: &output)
    SectionFooter(id: 7).encode(into: &output)
    StreamElement.part(id: 7).encode(into: &output)
    try send(output)
  }

  /// Sends the page and changes it then, half of them to zero.
  func change(_ block: Int, _ page: Int, using generator: inout SeededGenerator) throws {
    let (block, memory) = blocks[block]
    let size = block.pageSize.byteCount
    let offset = UInt64(page * size)
    let before = try memory.readBytes(at: offset, count: size)
    var output = ByteOutput()
    if before.allSatisfy({ $0 == 0 }), Bool.random(using: &generator) {
      RAMRecord.zero(offset: offset, idstr: block.idstr).encode(into: &output)
    } else {
      // Zeros too, as from a QEMU that does not look for them.
      RAMRecord.page(offset: offset, idstr: block.idstr).encode(into: &output)
      output.write(before)
    }
    try send(output)
    let after =
      Bool.random(using: &generator)
      ? [UInt8](repeating: 0, count: size) : generator.bytes(size)
    try memory.write(after, at: offset)
  }
}

/// A file that is copied by calls, at whose end something is done, or that seems to have been given back.
private struct OddFile: PageSource, CopyingSource {
  var file: CopiedFile
  var isHole = false
  var atTheEnd: @Sendable () -> Void = {}
  var byteCount: UInt64 { file.byteCount }
  var readAccess: SourceAccess { .copy(self) }

  func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    isHole || range.isEmpty ? nil : range
  }

  func copy(
    into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
  ) throws(SystemCallError) {
    try unsafe file.copy(into: buffer, from: offset)
    if offset + UInt64(buffer.count) == byteCount { atTheEnd() }
  }
}

/// A save of memory that changes while it is read.
@Suite struct SentPagesTests {
  let directory: TemporaryDirectory
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("image")
  }

  /// A save of `plan` that has begun, beside what is sent.
  private func begin(
    _ plan: SavePlan, _ sent: SentPages, _ options: ChannelOptions = .standard,
    to path: FilePath? = nil, base: FilePath? = nil
  ) throws -> OngoingSave {
    var image = ImageSave(plan, options: options)
    image.hasChecksums = true
    image.base = try base.map { try BaseImage(at: $0) }
    var save = try image.begin(to: path ?? self.path)
    save.save(beside: sent)
    return save
  }

  /// A guest that changes all of its memory in random order while it is saved: the image is what the memory was at the begin.
  @Test(arguments: MeanwhileTests.Way.allCases, LiveSaveTests.shapes)
  fileprivate func theImageIsOfOneMoment(_ way: MeanwhileTests.Way, _ options: ChannelOptions)
    throws
  {
    var generator = SeededGenerator()
    for (pageSize, share) in [(PageSize.fourKiB, 0), (.fourKiB, 0.1), (.fourKiB, 1), (large, 1)] {
      let guest = try TestGuest(
        pages: [1000, 64, 1, 130].map { max(1, $0 * 4096 / pageSize.byteCount) },
        pageSize: pageSize, using: &generator)
      let before = guest.blocks.indices.map(guest.contents)
      let sender = try SendingGuest(guest)
      let plan = try sender.plan(way)
      let sent = try SentPages(of: plan, from: sender.ours)
      var save = try begin(plan, sent, options)
      try sender.begin()
      #expect(try sent.waitUntilHeld(for: .seconds(30)))
      var places = guest.blocks.enumerated().flatMap { block, pair in
        (0..<pair.block.pageCount).map { (block, $0) }
      }
      places.shuffle(using: &generator)
      let changed = places.prefix(Int(Double(places.count) * share))
      let seed = UInt64.random(in: .min ... .max, using: &generator)
      let thread = try PosixThread<Void, any Error>(name: "guest") {
        var generator = SeededGenerator(seed: seed)
        for (block, page) in changed { try sender.change(block, page, using: &generator) }
      }
      try save.readPages()
      try thread.join()
      let report = sent.report
      _ = try save.writePages().finish()
      #expect(try restoreToMemory(path) == before, "a share of \(share)")
      // Sums of what was read, and of what was sent.
      let outcome = try ImageVerification(at: path).run()
      #expect(outcome.isWhole && outcome.chunkCount > 0, "\(outcome.damage)")
      #expect(report.writtenPages <= report.pages && report.pages <= UInt64(changed.count))
    }
  }

  /// Pages that are as in an earlier image are not written, but those that were sent; the image is of the moment all the same.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func aBaseIsShared() throws {
    let place = try MountedFileSystem(.xfs)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [1000, 64], using: &generator)
    let base = place.path.appending("base")
    let image = place.path.appending("image")
    var first = ImageSave(try guest.plan())
    first.hasChecksums = true
    _ = try first.run(to: base)
    for page in stride(from: 0, to: 1000, by: 50) {
      guest.blocks[0].pages.put(generator.bytes(4096), at: page << 12)
    }
    let before = guest.blocks.indices.map(guest.contents)
    let sender = try SendingGuest(guest)
    let plan = try sender.plan()
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent, to: image, base: base)
    try sender.begin()
    #expect(try sent.waitUntilHeld(for: .seconds(30)))
    for page in 300..<400 { try sender.change(0, page, using: &generator) }
    try save.readPages()
    let report = try save.writePages().finish()
    let shared = try #require(report.base)
    #expect(shared.obstacle == nil)
    #expect(shared.sharedBytes > 0 && shared.sharedBytes < report.presentBytes)
    try Subprocess.succeed(["rm", base.string])
    #expect(try restoreToMemory(image) == before)
    #expect(try ImageVerification(at: image).run().isWhole)
  }

  private var large: PageSize { PageSize(byteCount: 65536) ?? .fourKiB }

  /// All pages come before one is read: they are written as they came, in any order, also more than fit into one batch.
  @Test func pagesThatCameFirstAreWrittenAsTheyCame() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [3000, 5], zeroFraction: 0.2, using: &generator)
    let before = guest.blocks.indices.map(guest.contents)
    let sender = try SendingGuest(guest)
    let plan = try sender.plan()
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent)
    try sender.begin()
    for page in (0..<3000).shuffled(using: &generator) {
      try sender.change(0, page, using: &generator)
    }
    for page in 0..<5 { try sender.change(1, page, using: &generator) }
    try save.readPages()
    #expect(sent.report.pages == 3005)
    #expect(sent.report.writtenPages > 2000)
    _ = try save.writePages().finish()
    #expect(try restoreToMemory(path) == before)
  }

  /// A stream that ends early, as a migration that is cancelled: the save fails, and there is no image.
  @Test(arguments: [true, false]) func aStreamThatEndsEarlyFails(_ hasBegun: Bool) throws {
    var generator = SeededGenerator()
    let sender = try SendingGuest(TestGuest(pages: [100], using: &generator))
    do {
      let plan = try sender.plan()
      let sent = try SentPages(of: plan, from: sender.ours)
      var save = try begin(plan, sent)
      if hasBegun { try sender.begin() }
      sender.hangUp()
      #expect(throws: ImageError.save(.notHeld)) {
        // The end may not have been read yet.
        let deadline = ContinuousClock.now + .seconds(60)
        while .now < deadline { if try sent.waitUntilHeld(for: .milliseconds(10)) { usleep(1000) } }
      }
      #expect(throws: ImageError.save(.notHeld)) { try save.readPages() }
    }
    #expect(try names(in: directory) == [])
  }

  /// One that ends with the last page that is read here: it may have changed before.
  @Test func aStreamThatEndsAtTheLastMomentFails() throws {
    var generator = SeededGenerator()
    let sender = try SendingGuest(TestGuest(pages: [100], zeroFraction: 0, using: &generator))
    var plan = try sender.plan()
    let (block, memory) = sender.blocks[0]
    let source = OddFile(
      file: CopiedFile(file: memory, byteCount: block.usedLength.rawValue),
      atTheEnd: { sender.hangUp() })
    plan = try SavePlan(
      prologue: plan.prologue, blocks: [SavePlan.Block(block, pages: source)], tail: plan.tail,
      for: "plan")
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent, ChannelOptions(channels: 1, queueDepth: 1, method: .sync))
    try sender.begin()
    #expect(try sent.waitUntilHeld(for: .seconds(30)))
    #expect(throws: ImageError.save(.notHeld)) { try save.readPages() }
  }

  /// Pages that were sent, and have no memory any more when it is looked: there is nothing to read, and still they are in the image.
  @Test func pagesThatAreGivenBackMeanwhileAreWrittenAsTheyCame() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [60], zeroFraction: 0, using: &generator)
    let sender = try SendingGuest(guest)
    var plan = try sender.plan()
    let (block, memory) = sender.blocks[0]
    let source = OddFile(
      file: CopiedFile(file: memory, byteCount: block.usedLength.rawValue), isHole: true)
    plan = try SavePlan(
      prologue: plan.prologue, blocks: [SavePlan.Block(block, pages: source)], tail: plan.tail,
      for: "plan")
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent)
    try sender.begin()
    // No more than a socket holds: they may not have been received when the last look is taken.
    for page in 0..<40 { try sender.change(0, page, using: &generator) }
    try save.readPages()
    #expect(sent.report.writtenPages == 40)
    _ = try save.writePages().finish()
    let size = 40 * 4096
    #expect(try restoreToMemory(path)[0].prefix(size) == guest.contents(0).prefix(size))
  }

  /// A block that was read while nothing changed: what is sent of it later is of another moment.
  @Test func blocksThatNobodyHoldsAreReadBefore() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300, 100, 40], using: &generator)
    let before = guest.blocks.indices.map(guest.contents)
    let sender = try SendingGuest(guest)
    let plan = try sender.plan()
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent)
    try sender.begin()
    try save.readPages(ofBlocks: [1])
    // Not sent before it is changed, as flash memory is not.
    let size = 100 * 4096
    try sender.blocks[1].memory.write(generator.bytes(size), at: 0)
    for page in 0..<100 { try sender.change(1, page, using: &generator) }
    for page in 0..<300 { try sender.change(0, page, using: &generator) }
    try save.readPages()
    _ = try save.writePages().finish()
    #expect(try restoreToMemory(path) == before)
  }

  /// One that ends once all pages have been sent: nothing is held any more, and nothing need be.
  @Test func aStreamThatIsCompleteIsEnough() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], using: &generator)
    let before = guest.contents(0)
    let sender = try SendingGuest(guest)
    let plan = try sender.plan()
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent)
    try sender.begin()
    for page in 0..<200 { try sender.change(0, page, using: &generator) }
    var rest = ByteOutput()
    RAMWord.endOfSection.encode(into: &rest)
    SectionFooter(id: 7).encode(into: &rest)
    StreamElement.full(
      id: 9, SectionIdentity(idstr: "timer", instanceID: 0, version: 2)
    ).encode(into: &rest)
    rest.write([1, 2, 3])
    try sender.send(rest)
    sender.hangUp()
    try save.readPages()
    #expect(sent.isComplete)
    _ = try save.writePages().finish()
    #expect(try restoreToMemory(path) == [before])
  }

  /// What is no stream of this VM fails the save, and is read to its end all the same: whoever sends must not wait.
  @Test func aStreamThatIsNotRightFails() throws {
    var generator = SeededGenerator()
    let sender = try SendingGuest(TestGuest(pages: [100], using: &generator))
    let plan = try sender.plan()
    let sent = try SentPages(of: plan, from: sender.ours)
    var save = try begin(plan, sent)
    try sender.begin()
    var record = ByteOutput()
    RAMRecord.zero(offset: 0, idstr: "another").encode(into: &record)
    // Far more than a socket holds.
    record.write([UInt8](repeating: 0, count: 8 << 20))
    try sender.send(record)
    let error = #expect(throws: ImageError.self) { try save.readPages() }
    guard case .format(let problem, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(problem.kind == .unlistedBlock)
  }
}

/// The stream by itself.
@Suite struct SentStreamParserTests {
  private static let blocks: [RAMBlock] = ["a", "b"].compactMap {
    try? RAMBlock(idstr: $0, usedLength: ByteCount(8 * 4096), pageSize: .fourKiB)
  }

  private struct Found: Equatable {
    var place: SentStreamParser.Place
    var bytes: [UInt8]?
  }

  /// The stream of these records, in two PARTs.
  private static func stream(hasFooters: Bool, _ records: (inout ByteOutput) -> Void) -> [UInt8] {
    var output = ByteOutput()
    // The name of the section, but no section.
    output.write([3, 0x72, 0x61, 0x6D, 0, 0, 0, 0, 0, 0, 0, 4])
    StreamElement.start(id: 2, .ram).encode(into: &output)
    RAMWord.memorySize(ByteCount(16 * 4096)).encode(into: &output)
    for block in blocks.reversed() {
      RAMBlockEntry(idstr: block.idstr, usedLength: block.usedLength).encode(into: &output)
    }
    RAMWord.endOfSection.encode(into: &output)
    for _ in 0..<2 {
      if hasFooters { SectionFooter(id: 2).encode(into: &output) }
      StreamElement.part(id: 2).encode(into: &output)
      records(&output)
      RAMWord.endOfSection.encode(into: &output)
    }
    if hasFooters { SectionFooter(id: 2).encode(into: &output) }
    StreamElement.full(
      id: 1, SectionIdentity(idstr: "x", instanceID: 0, version: 1)
    ).encode(into: &output)
    output.write([1, 2, 3])
    return output.bytes
  }

  private static func records(_ output: inout ByteOutput) {
    RAMRecord.page(offset: 4096, idstr: "b").encode(into: &output)
    output.write([UInt8](repeating: 5, count: 4096))
    RAMRecord.zero(offset: 0, idstr: nil).encode(into: &output)
    RAMRecord.flush.encode(into: &output)
    RAMRecord.zero(offset: 7 * 4096, idstr: "a").encode(into: &output)
  }

  private func take(
    _ parser: inout SentStreamParser, _ bytes: [UInt8], into found: inout [Found]
  ) throws -> Int {
    var pages: [Found] = []
    let count = try unsafe bytes.withUnsafeBytes { bytes throws(FormatError) in
      try unsafe parser.take(bytes) { place, page in
        unsafe pages.append(Found(place: place, bytes: page.map { unsafe Array($0) }))
      }
    }
    found += pages
    return count
  }

  /// However the bytes come, the pages are the same.
  @Test(arguments: [true, false], [1, 2, 7, 100, 4096, 1 << 20])
  func theBytesMayComeInAnyParts(hasFooters: Bool, step: Int) throws {
    let stream = Self.stream(hasFooters: hasFooters, Self.records)
    var parser = SentStreamParser(Self.blocks)
    var (rest, found): ([UInt8], [Found]) = ([], [])
    var next = 0
    while next < stream.count {
      rest += stream[next..<min(next + step, stream.count)]
      next += step
      rest.removeFirst(try take(&parser, rest, into: &found))
      #expect(!parser.isComplete || parser.hasBegun)
    }
    #expect(rest == [] && parser.isComplete)
    let once = [
      Found(
        place: .init(block: 1, page: 1), bytes: [UInt8](repeating: 5, count: 4096)),
      Found(place: .init(block: 1, page: 0)), Found(place: .init(block: 0, page: 7)),
    ]
    #expect(found == once + once)
  }

  /// A cut stream is none that is complete, wherever it is cut.
  @Test func aCutStreamIsNotComplete() throws {
    let stream = Self.stream(hasFooters: true, Self.records)
    // The head of the device state is what completes it.
    for count in 0..<(stream.count - 3 - 1) {
      var parser = SentStreamParser(Self.blocks)
      var found: [Found] = []
      _ = try take(&parser, Array(stream.prefix(count)), into: &found)
      #expect(!parser.isComplete)
    }
  }

  @Test(arguments: [
    (UInt64(8 * 4096), "a", FormatError.Kind.pageOutsideBlock(offset: 8 * 4096, usedLength: 32768)),
    (1024, "a", .pageOutsideBlock(offset: 1024, usedLength: 32768)),
    (0, "c", .unlistedBlock),
  ])
  func recordsOfNoPageAreRefused(offset: UInt64, idstr: String, kind: FormatError.Kind) throws {
    let stream = Self.stream(hasFooters: true) {
      RAMRecord.zero(offset: offset, idstr: idstr).encode(into: &$0)
    }
    var parser = SentStreamParser(Self.blocks)
    var found: [Found] = []
    let error = #expect(throws: FormatError.self) {
      try take(&parser, stream, into: &found)
    }
    #expect(error?.kind == kind)
    #expect(found == [])
  }

  @Test func aRecordBeforeAnyBlockIsRefused() throws {
    let stream = Self.stream(hasFooters: true) {
      RAMRecord.zero(offset: 0, idstr: nil).encode(into: &$0)
    }
    var parser = SentStreamParser(Self.blocks)
    var found: [Found] = []
    let error = #expect(throws: FormatError.self) { try take(&parser, stream, into: &found) }
    #expect(error?.kind == .recordWithoutBlock)
  }

  /// Of whatever random bytes, no page is made outside a block.
  @Test func randomBytesAreRefusedOrTaken() throws {
    var generator = SeededGenerator()
    let stream = Self.stream(hasFooters: true, Self.records)
    for _ in 0..<500 {
      var bytes = stream
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
          in: .min ... .max, using: &generator)
      }
      var parser = SentStreamParser(Self.blocks)
      var found: [Found] = []
      _ = try? take(&parser, bytes, into: &found)
      #expect(
        found.allSatisfy { (0...1).contains($0.place.block) && (0..<8).contains($0.place.page) })
    }
  }
}
