import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Sums of an image's contents: right, the same for the same contents, and whatever is damaged is found and named.
@Suite struct SumsTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func save(
    _ plan: SavePlan, to name: String = "image", options: ChannelOptions = .standard
  ) throws -> FilePath {
    let path = directory.file(name)
    var save = ImageSave(plan, options: options)
    save.hasChecksums = true
    _ = try save.run(to: path)
    return path
  }

  private func verify(_ path: FilePath) throws -> ImageVerification.Outcome {
    try ImageVerification(at: path).run()
  }

  private func table(_ path: FilePath) throws -> (area: SumsArea, file: File, header: AreaHeader) {
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let header = try #require(try Image(reading: file).areas.headers.first { $0.kind == .sums })
    let bytes = try file.readBytes(
      at: header.table.lowerBound.rawValue, count: Int(header.table.byteCount.rawValue))
    var input = ByteInput(bytes.span, at: header.table.lowerBound)
    return (try SumsArea(header: header, parsing: &input), file, header)
  }

  /// As the document has it, without the engine: page by page, chunk by chunk.
  private func entries(of guest: TestGuest, _ bitmap: (Int) -> PageBitmap) -> [ContentSum] {
    var all: [ContentSum] = []
    for (index, block) in guest.blocks.enumerated() {
      let contents = guest.contents(index)
      let size = block.block.pageSize.byteCount
      for start in stride(from: 0, to: contents.count, by: 64 << 10) {
        let end = min(start + 64 << 10, contents.count)
        let pages = start / size..<end / size
        guard bitmap(index).population(in: pages) > 0 else { continue }
        var output = ByteOutput()
        for page in pages {
          ContentSum(of: Array(contents[page * size..<(page + 1) * size])).encode(into: &output)
        }
        all.append(ContentSum(of: output.bytes))
      }
    }
    return all
  }

  @Test(arguments: [1024, 4096, 8192, 65536])
  func theSumsAreThoseOfTheDocument(_ pageBytes: UInt64) throws {
    var generator = SeededGenerator()
    let pageSize = try #require(PageSize(byteCount: pageBytes))
    let counts = pageBytes == 65536 ? [1, 5, 40] : [1, 300, 2, 1000]
    let guest = try TestGuest(
      pages: counts, pageSize: pageSize, zeroFraction: 0.7, using: &generator)
    let path = try save(guest.plan())
    let (area, file, _) = try table(path)
    let image = try Image(reading: file)
    let bitmaps = try image.blocks.map { try #require(try $0.readBitmap(from: file)) }
    let bytes = try file.readBytes(
      at: area.entries.lowerBound.rawValue, count: Int(area.entries.byteCount.rawValue))
    #expect(ContentSum.list(bytes) == entries(of: guest) { bitmaps[$0] })
    let outcome = try verify(path)
    #expect(outcome.isWhole && outcome.damage == [] && outcome.root == area.root)
    #expect(outcome.chunkCount == area.entries.byteCount.rawValue / 16)
    // What a device has to have room for, no more and no less.
    let writer = SumsWriter(file: ImageFile(file), image: image, overlay: nil)
    #expect(writer.entryBytes(bitmaps) == area.entries.byteCount)
  }

  /// One root for one VM: whatever the layout, the file, the pages that are present though they are zero, the channels.
  @Test func theRootIsThatOfTheContents() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 90], using: &generator)
    let device = DeviceSource(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
    var all = PageBitmap(pageCount: 700)
    all.insert(0..<700)
    let tail = try TestGuest.describedTail()
    func root(_ plan: SavePlan, _ options: ChannelOptions = .standard) throws -> ContentSum {
      let outcome = try verify(save(plan, options: options))
      #expect(outcome.isWhole, "\(outcome.damage)")
      return try #require(outcome.root)
    }
    let expected = try root(guest.plan(tail: tail))
    #expect(try root(guest.plan(tail: tail, slots: .hugePages)) == expected)
    #expect(try root(guest.plan(tail: tail, keepsHoles: true)) == expected)
    #expect(try root(guest.plan(tail: tail, statesZeroSlots: true)) == expected)
    #expect(try root(guest.plan(presentZeros: [all], tail: tail)) == expected)
    #expect(
      try root(guest.plan(tail: tail), ChannelOptions(channels: 1, method: .sync)) == expected)
    let other = try root(guest.plan(tail: tail).with(devices: [device]))
    #expect(other != expected)
    guest.blocks[1].pages.put([0xEE], at: 5 << 12)
    #expect(try root(guest.plan(tail: tail)) != expected)
  }

  /// The image without its areas is, byte for byte, the one without sums.
  @Test func theStreamIsAsWithoutSums() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [100, 30], using: &generator)
    let path = try save(guest.plan(tail: TestGuest.describedTail()))
    let plain = directory.file("plain")
    _ = try ImageSave(guest.plan(tail: TestGuest.describedTail())).run(to: plain)
    let image = try Image(at: path)
    #expect(image.areas.headers.map(\.kind) == [.sums] && image.remarks == [])
    let end = try #require(image.tail?.upperBound.rawValue)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    try file.truncate(to: end)
    #expect(try sha256(path) == sha256(plain))
    #expect(try !verify(plain).hasSums && verify(plain).damage == [])
  }

  /// Memory that was never touched is not even looked at: nothing is known of its chunks, and nothing needs to be.
  @Test(arguments: [false, true]) func memoryWithHolesHasThemToo(inPlace: Bool) throws {
    let raw = directory.file("raw")
    try Subprocess.succeed(["truncate", "-s", "64M", raw.string])
    let file = try File.open(raw, access: .readWrite, directIO: .off)
    try file.write([1, 2, 3], at: 20 << 20)
    let block = try RAMBlock(idstr: "ram0", usedLength: ByteCount(64 << 20), pageSize: .fourKiB)
    let second = try RAMBlock(idstr: "ram1", usedLength: ByteCount(64 << 20), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [
        SavePlan.Block(block, pages: try FilePages(reading: raw)),
        SavePlan.Block(second, pages: try FilePages(reading: raw)),
      ], tail: [.bytes(TestGuest.tail)], for: "plan")
    let path = directory.file("image")
    if inPlace { try Subprocess.succeed(["touch", path.string]) }
    var save = ImageSave(plan)
    save.hasChecksums = true
    let report = try save.run(to: path, inPlace: inPlace)
    #expect(report.hasChecksums)
    let outcome = try verify(path)
    #expect(outcome.isWhole && outcome.chunkCount == 2)
    #expect(try names(in: directory).sorted() == ["image", "raw"])
  }

  /// Written in rounds, while pages change; the sums are those of the last.
  @Test func aLiveSaveHasThemToo() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [400, 50], using: &generator)
    let path = directory.file("live")
    var save = ImageSave(try guest.plan())
    save.hasChecksums = true
    var ongoing = try save.begin(to: path, live: LiveOptions())
    try ongoing.runRounds()
    for page in stride(from: 0, to: 400, by: 7) {
      guest.blocks[0].pages.put([UInt8(truncatingIfNeeded: page)], at: page << 12)
    }
    _ = try ongoing.writePages().finish()
    let outcome = try verify(path)
    #expect(outcome.isWhole, "\(outcome.damage)")
    #expect(outcome.root == (try verify(self.save(guest.plan()))).root)
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func aBlockDeviceHasThemToo() throws {
    let backing = directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", "8M", backing.string])
    let loop = try LoopDevice(backing)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], using: &generator)
    var save = ImageSave(try guest.plan(tail: TestGuest.describedTail()))
    save.hasChecksums = true
    _ = try save.run(to: loop.path)
    #expect(try verify(loop.path).isWhole)
    let file = try File.open(loop.path, access: .readWrite, directIO: .off)
    let block = try Image(reading: file).blocks[0]
    let slots = try #require(block.layout.pages?.lowerBound.rawValue)
    let page = try #require(try block.readBitmap(from: file)?.runs.first { _ in true }?.lowerBound)
    let place = slots + UInt64(page) << 12 + 17
    let byte = try file.readBytes(at: place, count: 1)[0]
    try file.write([~byte], at: place)
    #expect(try verify(loop.path).damagedChunkCount == 1)
  }

  /// Many damaged chunks: neighbours are told as one.
  @Test func neighbouringChunksAreOne() throws {
    let guest = try TestGuest(pages: 640, step: 1)
    let path = try save(guest.plan())
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let slots = try #require(try Image(reading: file).blocks[0].layout.pages?.lowerBound)
    for chunk in [3, 4, 5, 9] {
      try file.write([0xAB], at: slots.rawValue + UInt64(chunk) << 16)
    }
    let outcome = try verify(path)
    #expect(outcome.damagedChunkCount == 4 && outcome.chunkCount == 40)
    #expect(
      outcome.damage == [
        .pages(
          idstr: "ram0", 48..<96,
          at: slots + ByteCount(3 << 16)..<slots + ByteCount(6 << 16)),
        .pages(
          idstr: "ram0", 144..<160,
          at: slots + ByteCount(9 << 16)..<slots + ByteCount(10 << 16)),
      ])
  }

  /// Tables that lie, with checksums that are right.
  @Test func hostileTablesAreRefused() throws {
    let path = try save(TestGuest(pages: 100, step: 2).plan())
    let (area, file, header) = try table(path)
    func problem(_ change: (inout SumsArea) -> Void) throws -> SumsProblem? {
      var changed = area
      change(&changed)
      let bytes = changed.encoded(at: header.table.lowerBound)
      let new = AreaHeader(
        .sums, version: 1, isNeeded: false, range: header.range, table: bytes)
      try file.write(new.encoded.bytes, at: header.range.lowerBound.rawValue)
      try file.write(bytes.bytes, at: header.table.lowerBound.rawValue)
      let outcome = try verify(path)
      #expect(!outcome.isWhole && outcome.root == nil)
      for case .structure(let error) in outcome.damage {
        if case .sums(let problem) = error.kind { return problem }
      }
      return nil
    }
    let start = area.entries.lowerBound
    #expect(
      try problem { $0.entries = FileOffset(UInt64.max - 3)..<FileOffset(UInt64.max) }
        == .entriesPlace(
          FileOffset(UInt64.max - 3), 3, area: header.end..<header.table.lowerBound))
    #expect(
      try problem { $0.entries = start..<start } == .entryTotal(found: 0, expected: 7 * 16))
    #expect(try problem { $0.blocks[0].entryCount = 8 } == .entryCount(found: 8, most: 7))
    #expect(
      try problem { $0.blocks[0].pages = FileOffset(1 << 62)..<FileOffset(1 << 62) }
        == .blockPlace(FileOffset(1 << 62)))
    #expect(
      try problem { $0.blocks[0].bitmap = FileOffset(.max)..<FileOffset(.max) }
        == .blockPlace(FileOffset(.max)))
    #expect(
      try problem { $0.spans[1].range = FileOffset(0)..<FileOffset(1) } == .spanPlace(0, 1))
    #expect(
      try problem { $0.spans[0].range = FileOffset(0)..<FileOffset(1 << 62) }
        == .spanPlace(0, ByteCount(UInt64(1) << 62)))
    // Nothing wrong with the form: of another image.
    let block = try RAMBlock(
      idstr: "ram1", usedLength: area.blocks[0].block.usedLength, pageSize: .fourKiB)
    #expect(try problem { $0.blocks[0].block = block } == nil)
    #expect(try verify(path).damage.contains(.foreignSums))
    #expect(try problem { $0.root.low ^= 1 } == nil)
    #expect(try verify(path).damage == [.foreignSums])
    #expect(try problem { $0.spans.removeLast() } == nil)
    #expect(try verify(path).damage.contains(.foreignSums))
  }

  /// Whatever ends early is an end, not a crash.
  @Test func cancelledMeansCancelled() throws {
    let path = try save(TestGuest(pages: 100, step: 2).plan())
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      _ = try ImageVerification(at: path).run(cancellation: cancellation)
    }
  }
}

/// Restores that compare what they read.
@Suite struct ComparedRestoreTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func image() throws -> FilePath {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [400, 50], using: &generator)
    var save = ImageSave(try guest.plan(tail: TestGuest.describedTail()))
    save.hasChecksums = true
    let path = directory.file("image")
    _ = try save.run(to: path)
    return path
  }

  /// Flips a bit of a present page of the first block.
  private func damagePage(of path: FilePath) throws -> Int {
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let block = try Image(reading: file).blocks[0]
    let slots = try #require(block.layout.pages?.lowerBound.rawValue)
    let page = try #require(try block.readBitmap(from: file)?.runs.first { _ in true }?.lowerBound)
    let place = slots + UInt64(page) << 12 + 17
    try file.write([~(try file.readBytes(at: place, count: 1)[0])], at: place)
    return page
  }

  private func unpack(
    _ path: FilePath, _ verification: DirectoryRestore.Verification
  ) throws -> [String] {
    let parts = directory.file("parts")
    var restore = DirectoryRestore(try ImageRestore(at: path), to: parts)
    restore.verification = verification
    return try restore.run().files
  }

  @Test func damagedPagesAreNotTakenApart() throws {
    let path = try image()
    #expect(try unpack(path, .always).count == 4)
    let page = try damagePage(of: path)
    for verification in [DirectoryRestore.Verification.always, .whereThereAreSums] {
      #expect {
        try unpack(path, verification)
      } throws: { error in
        guard case .contents(path, .damaged(let damage))? = error as? ImageError,
          case .pages("ram0", let pages, _)? = damage.first
        else { return false }
        return pages.contains(page) && damage.count == 1
      }
    }
    #expect(try unpack(path, .never).count == 4)
  }

  @Test func otherDamageIsFoundToo() throws {
    let path = try image()
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let image = try Image(reading: file)
    let header = try #require(image.areas.headers.first)
    let bitmap = try #require(image.blocks[1].layout.bitmap)
    for place in [bitmap.lowerBound, header.end, header.table.lowerBound + 60] {
      let byte = try file.readBytes(at: place.rawValue, count: 1)[0]
      try file.write([byte ^ 1], at: place.rawValue)
      #expect(throws: ImageError.self, "\(place)") { try unpack(path, .whereThereAreSums) }
      #expect(throws: ImageError.self, "\(place)") { try unpack(path, .always) }
      try file.write([byte], at: place.rawValue)
    }
    #expect(try unpack(path, .always).count == 4)
  }

  @Test func withoutSumsThatIsSaid() throws {
    let path = directory.file("plain")
    _ = try ImageSave(try TestGuest(pages: 30, step: 2).plan()).run(to: path)
    #expect(throws: ImageError.contents(path, .noSums)) { try unpack(path, .always) }
    #expect(try unpack(path, .whereThereAreSums).count == 3)
  }
}
