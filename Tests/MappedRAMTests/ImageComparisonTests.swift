import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Two images: equal where their contents are, and whatever differs is named.
@Suite struct ImageComparisonTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func save(
    _ plan: SavePlan, to name: String, sums: Bool = true
  ) throws -> FilePath {
    let path = directory.file(name)
    var save = ImageSave(plan)
    save.hasChecksums = sums
    _ = try save.run(to: path)
    return path
  }

  private func compare(
    _ one: FilePath, _ other: FilePath, contents: Bool = false,
    options: ChannelOptions = .standard
  ) throws -> ImageComparison.Outcome {
    var comparison = try ImageComparison(of: one, with: other, options: options)
    comparison.readsContents = contents
    return try comparison.run()
  }

  /// The pages that differ, of each block whose pages were compared.
  private func pages(_ outcome: ImageComparison.Outcome) -> [[Range<Int>]] {
    outcome.blocks.compactMap { block in
      guard case .compared(let pages) = block.outcome else { return nil }
      return pages.ranges(limit: .max).first
    }
  }

  private func isByChunks(_ outcome: ImageComparison.Outcome) -> [Bool] {
    outcome.blocks.compactMap { block in
      guard case .compared(let pages) = block.outcome else { return nil }
      return pages.isByChunks
    }
  }

  /// The same memory in each layout, with and without sums, with pages of zeros that are present or not, and of one that was taken apart.
  @Test func theSameContentsAreEqual() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 90, 1], using: &generator)
    let tail = try TestGuest.describedTail()
    var all = PageBitmap(pageCount: 700)
    all.insert(0..<700)
    let first = try save(guest.plan(tail: tail), to: "first")
    let others = try [
      save(guest.plan(tail: tail, slots: .hugePages), to: "2M"),
      save(guest.plan(presentZeros: [all], tail: tail), to: "zeros"),
      save(
        guest.plan(presentZeros: [all], tail: tail, slots: .hugePages), to: "plain", sums: false),
    ]
    let plain = try save(guest.plan(tail: tail), to: "without", sums: false)
    for (one, other) in others.map({ (first, $0) }) + [(plain, others[2]), (first, first)] {
      for contents in [false, true] {
        let outcome = try compare(one, other, contents: contents)
        #expect(outcome.isEqual && outcome.remarks == [], "\(other) \(outcome.blocks)")
        #expect(pages(outcome) == [[], [], []])
        let bothHave = other != others[2]
        #expect(isByChunks(outcome) == Array(repeating: bothHave && !contents, count: 3))
      }
    }
    let sync = ChannelOptions(channels: 1, method: .sync)
    #expect(try compare(plain, others[2], options: sync).isEqual)
    let parts = directory.file("parts")
    _ = try DirectoryRestore(
      ImageRestore(File.open(plain, access: .read)), to: parts
    ).run()
    let again = try save(SavePlan.ofDirectory(parts, slots: .hugePages), to: "again", sums: false)
    #expect(try compare(plain, again).isEqual)
    #expect(try compare(again, first).isEqual)
  }

  /// Where both have sums no page is read: a page that is damaged on the disk does not show; with the contents it does.
  @Test func sumsAreOfWhatWasSaved() throws {
    let guest = try TestGuest(pages: 640, step: 3)
    let (first, second) = (
      try save(guest.plan(), to: "first"), try save(guest.plan(), to: "second")
    )
    let file = try File.open(second, access: .readWrite, directIO: .off)
    let slots = try #require(try Image(reading: file).blocks[0].layout.pages?.lowerBound)
    try file.write([9], at: slots.rawValue + 300 << 12)
    let bySums = try compare(first, second)
    #expect(bySums.isEqual && bySums.report.totals.bytesRead == 0)
    let byContents = try compare(first, second, contents: true)
    #expect(pages(byContents) == [[300..<301]])
  }

  /// Random pages that differ: those and no others are found, by sums the chunks that they are in.
  @Test(arguments: [1024, 4096, 65536])
  func eachPageThatDiffersIsFound(_ pageBytes: UInt64) throws {
    var generator = SeededGenerator()
    let pageSize = try #require(PageSize(byteCount: pageBytes))
    let count = pageBytes == 65536 ? 70 : 1000
    let guest = try TestGuest(
      pages: [count, 3], pageSize: pageSize, zeroFraction: 0.7, using: &generator)
    let first = try save(guest.plan(), to: "first")
    let plain = try save(guest.plan(), to: "plain", sums: false)
    var expected = PageBitmap(pageCount: count)
    for _ in 0..<20 {
      let page = Int.random(in: 0..<count, using: &generator)
      let place = page * pageSize.byteCount
      let bytes = guest.contents(0)[place..<place + pageSize.byteCount]
      if bytes.contains(where: { $0 != 0 }), Bool.random(using: &generator) {
        // It becomes zero, and absent.
        guest.blocks[0].pages.put([UInt8](repeating: 0, count: bytes.count), at: place)
      } else {
        guest.blocks[0].pages.put([~bytes[place + bytes.count - 1]], at: place + bytes.count - 1)
      }
      expected[page] =
        guest.contents(0)[place..<place + pageSize.byteCount] != bytes
        || expected[page]
    }
    // What came back to what it was is no difference.
    let original = try restoreToMemory(plain)[0]
    let now = guest.contents(0)
    for page in 0..<count {
      let range = page * pageSize.byteCount..<(page + 1) * pageSize.byteCount
      expected[page] = original[range] != now[range]
    }
    let second = try save(guest.plan(slots: .hugePages), to: "second")
    let secondPlain = try save(guest.plan(), to: "second plain", sums: false)
    let exact = Array(expected.runs)
    for (one, other, contents) in [
      (first, second, true), (first, secondPlain, false), (plain, second, false),
      (plain, secondPlain, false),
    ] {
      let outcome = try compare(one, other, contents: contents)
      #expect(pages(outcome) == [exact, []], "\(one) \(other)")
      #expect(!outcome.isEqual && isByChunks(outcome) == [false, false])
      #expect(outcome.remarks == [])
    }
    let chunk = (64 << 10) / pageSize.byteCount
    var chunks = PageBitmap(pageCount: count)
    for page in 0..<count where expected[page] {
      let begin = page / chunk * chunk
      chunks.insert(begin..<min(begin + chunk, count))
    }
    let bySums = try compare(first, second)
    #expect(pages(bySums) == [Array(chunks.runs), []] && isByChunks(bySums) == [true, true])
  }

  @Test func blocksThatAreNotTheSame() throws {
    var generator = SeededGenerator()
    let one = try save(TestGuest(pages: [10, 20], using: &generator).plan(), to: "one")
    let other = try save(TestGuest(pages: [10, 21, 5], using: &generator).plan(), to: "other")
    let outcome = try compare(one, other)
    guard case .shape(let first, let second) = outcome.blocks[1].outcome else {
      Issue.record("\(outcome.blocks[1])")
      return
    }
    #expect(first.pageCount == 20 && second.pageCount == 21)
    #expect(
      outcome.blocks[2] == BlockComparison(idstr: "ram2", outcome: .onlyInSecond))
    #expect(try compare(other, one).blocks[2].outcome == .onlyInFirst)
    #expect(!outcome.isEqual)
  }

  @Test func statesBehindTheStreamAreCompared() throws {
    let guest = try TestGuest(pages: 10, step: 2)
    func image(_ name: String, _ devices: [(String, [[UInt8]])]) throws -> FilePath {
      try save(
        guest.plan().with(
          devices: devices.map { device, buffers in
            DeviceSource(
              DeviceIdentity(device), from: TestDevice(buffers.map { .init(bytes: $0) }))
          }), to: name)
    }
    let one = try image("one", [("a", [[1, 2], [3]]), ("b", [[4]])])
    #expect(try compare(one, image("same", [("b", [[4]]), ("a", [[1, 2], [3]])])).isEqual)
    let outcome = try compare(one, image("other", [("a", [[1, 2], [5], [6]]), ("c", [[4]])]))
    #expect(
      outcome.buffers == [
        BufferComparison(identity: DeviceIdentity("a"), difference: .buffers([1, 2])),
        BufferComparison(identity: DeviceIdentity("b"), difference: .onlyInFirst),
        BufferComparison(identity: DeviceIdentity("c"), difference: .onlyInSecond),
      ])
    #expect(!outcome.isEqual)
  }

  /// An image of libvirt's is compared with the plain stream in it; devices by their fields.
  @Test func aContainerIsNoContents() throws {
    let image = try Fixture("libvirt").unpack(into: directory)
    let parts = directory.file("parts")
    _ = try DirectoryRestore(ImageRestore(File.open(image, access: .read)), to: parts).run()
    try Subprocess.succeed([
      "sed", "-i", "-e", "/prefixFile/d", "-e", "s/\"streamOffset\" : [0-9]*/\"streamOffset\" : 0/",
      parts.appending("image.json").string,
    ])
    let plain = try save(SavePlan.ofDirectory(parts, slots: .hugePages), to: "plain")
    let outcome = try compare(image, plain)
    #expect(outcome.isEqual, "\(outcome.blocks) \(outcome.devices)")
    #expect(try Image(at: image).container != .qemu)
    #expect(try Image(at: plain).container == .qemu)
  }

  /// A byte of a device's state is told as the field that it is in.
  @Test func aFieldThatDiffersIsNamed() throws {
    let image = try Fixture("q35").unpack(into: directory)
    let copy = directory.file("copy")
    try Subprocess.succeed(["cp", "--sparse=always", image.string, copy.string])
    let file = try File.open(copy, access: .readWrite, directIO: .off)
    let section = try #require(
      try Image(reading: file).sections.first { $0.identity?.idstr == "timer" })
    let place = section.body.lowerBound.rawValue + 7
    let byte = try file.readBytes(at: place, count: 1)[0]
    try file.write([byte ^ 1], at: place)
    let outcome = try compare(image, copy)
    #expect(outcome.devices.count == 1 && !outcome.hasOtherMachineType && !outcome.isEqual)
    #expect(pages(outcome).allSatisfy { $0.isEmpty })
    guard case .state(let state) = outcome.devices[0].difference else {
      Issue.record("\(outcome.devices)")
      return
    }
    #expect(outcome.devices[0].identity == DeviceIdentity("timer"))
    #expect(state.firstDifference == 7 && state.fields?.count == 1 && state.fieldsOmitted == 0)
    let field = try #require(state.fields?.first)
    #expect(field.first != nil && field.second != nil && field.first != field.second)
    #expect(!field.path.isEmpty)
  }

  @Test func everyFixtureIsEqualToItself() throws {
    for fixture in Fixture.complete {
      let own = try TemporaryDirectory()
      let image = try fixture.unpack(into: own)
      var comparison = try ImageComparison(of: image, with: image)
      comparison.streamOffset = FileOffset(fixture.expected.streamOffset)
      let outcome = try comparison.run()
      #expect(outcome.isEqual, "\(fixture)")
    }
  }

  /// Sums are relied on only as far as they are right themselves: what damage they have never makes two images equal, or different.
  @Test func damagedSumsAreNotReliedOn() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300, 40], zeroFraction: 0.5, using: &generator)
    let first = try save(guest.plan(), to: "first")
    let same = try save(guest.plan(), to: "same")
    guest.blocks[0].pages.put([1, 2, 3], at: 17 << 12)
    let other = try save(guest.plan(), to: "other")
    let file = try File.open(same, access: .readWrite, directIO: .off)
    let header = try #require(try Image(reading: file).areas.headers.first { $0.kind == .sums })
    var remarked = 0
    for _ in 0..<150 {
      let range = header.range.lowerBound.rawValue..<(try file.size())
      let offset = UInt64.random(in: range, using: &generator)
      let byte = try file.readBytes(at: offset, count: 1)[0]
      try file.write([byte ^ 1 << UInt8.random(in: 0..<8, using: &generator)], at: offset)
      do {
        let outcome = try compare(first, same)
        #expect(outcome.isEqual, "\(offset)")
        #expect(try pages(compare(same, other))[0].contains { $0.contains(17) }, "\(offset)")
        if !outcome.remarks.isEmpty { remarked += 1 }
        for remark in outcome.remarks { #expect(!remark.description.isEmpty) }
      } catch let error as ImageError {
        // Whoever reads the image says so.
        guard case .format = error else { throw error }
      }
      try file.write([byte], at: offset)
    }
    #expect(remarked > 0)
  }

  /// Sums of another image, which are right in themselves, and entries that do not fit the pages.
  @Test func foreignSumsAreNotReliedOn() throws {
    let guest = try TestGuest(pages: 100, step: 2)
    let first = try save(guest.plan(), to: "first")
    let other = try save(guest.plan(), to: "other")
    let file = try File.open(other, access: .readWrite, directIO: .off)
    let header = try #require(try Image(reading: file).areas.headers.first { $0.kind == .sums })
    let bytes = try file.readBytes(
      at: header.table.lowerBound.rawValue, count: Int(header.table.byteCount.rawValue))
    var input = ByteInput(bytes.span, at: header.table.lowerBound)
    let area = try SumsArea(header: header, parsing: &input)
    func write(_ change: (inout SumsArea) -> Void) throws {
      var changed = area
      change(&changed)
      let table = changed.encoded(at: header.table.lowerBound)
      let new = AreaHeader(
        .sums, version: 1, isNeeded: false, range: header.range, table: table)
      try file.write(new.encoded.bytes, at: header.range.lowerBound.rawValue)
      try file.write(table.bytes, at: header.table.lowerBound.rawValue)
    }
    let renamed = try RAMBlock(
      idstr: "ram9", usedLength: area.blocks[0].block.usedLength, pageSize: .fourKiB)
    try write { $0.blocks[0].block = renamed }
    let foreign = try compare(first, other)
    #expect(foreign.isEqual && foreign.remarks == [.unusableSums(other)])
    try write { $0.blocks[0].bitmapSum = ContentSum(high: 1, low: 2) }
    let bitmap = try compare(first, other)
    #expect(bitmap.isEqual && bitmap.remarks == [.unusableBlockSums(other, idstr: "ram0")])
    // Entries with a sum that fits them, of other pages: only who reads these knows.
    let place = area.entries.lowerBound.rawValue
    var entries = try file.readBytes(at: place, count: Int(area.entries.byteCount.rawValue))
    entries[3] ^= 1
    try file.write(entries, at: place)
    try write { $0.blocks[0].entriesSum = ContentSum(of: entries) }
    #expect(try pages(compare(first, other)) == [[0..<16]])
    let plain = try save(guest.plan(), to: "plain", sums: false)
    let read = try compare(plain, other)
    #expect(read.isEqual && read.remarks == [.sumsDoNotFit(idstr: "ram0")])
  }

  @Test func whatIsNoWholeImageIsRefused() throws {
    let guest = try TestGuest(pages: 100, step: 2)
    let first = try save(guest.plan(), to: "first")
    let size = try File.open(first, access: .read, directIO: .off).size()
    let cuts: [(String, UInt64)] = [("empty", 0), ("cut", size / 2), ("line", size - 3)]
    for (name, length) in cuts {
      let copy = directory.file(name)
      try Subprocess.succeed(["cp", first.string, copy.string])
      try Subprocess.succeed(["truncate", "-s", "\(length)", copy.string])
      for pair in [(first, copy), (copy, first)] {
        let error = #expect(throws: ImageError.self) { try compare(pair.0, pair.1) }
        guard case .format(_, copy)? = error else {
          Issue.record("\(name): \(String(describing: error))")
          continue
        }
      }
    }
  }

  @Test func itCanBeCancelled() throws {
    let guest = try TestGuest(pages: 100, step: 2)
    let plain = try save(guest.plan(), to: "plain", sums: false)
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      try ImageComparison(of: plain, with: plain).run(cancellation: cancellation)
    }
  }
}
