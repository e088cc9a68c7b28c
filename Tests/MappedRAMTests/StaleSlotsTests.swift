import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Slots that a live save left behind.
@Suite struct StaleSlotsTests {
  /// The stale slots go, and nothing else does: each block and all outside the slots is what it was.
  @Test(arguments: Fixture.complete)
  func staleSlotsAreClearedAndNothingElse(_ fixture: Fixture) throws {
    let open = try OpenFixture(fixture)
    let stale = (fixture.expected.blocks ?? []).reduce(0) { $0 + Int($1.stale ?? 0) }
    let found = try StaleSlots.clear(in: open.image.blocks, of: open.file)
    #expect(found.remaining.isEmpty)
    #expect(found.clearedPages >= stale)
    let isUnchanged = try sha256(open.file.path) == fixture.expected.sha256
    #expect(isUnchanged == (stale == 0))
    let read = try ImageDecoderOracle.read(
      open.file.path, offset: fixture.expected.libvirt == nil ? fixture.expected.streamOffset : 0)
    let blocks = try #require(read.blocks)
    #expect(blocks.map(\.sha256) == fixture.expected.blocks?.map(\.sha256))
    #expect(blocks.map(\.present) == fixture.expected.blocks?.map(\.present))
    #expect(blocks.allSatisfy { ($0.stale ?? 0) == 0 })
    #expect(read.sections.map(\.offset) == fixture.expected.sections.map(\.offset))
    // Whole blocks of this file system are one page, so nothing is left for a second time.
    let again = try StaleSlots.clear(in: open.image.blocks, of: open.file)
    #expect(again.clearedPages == 0 && again.remaining.isEmpty)
  }

  /// Who may not write is told which pages are stale, and nothing is changed.
  @Test func withoutTheRightToWriteTheyAreListed() throws {
    let open = try OpenFixture("live")
    let file = try File.open(open.file.path, access: .read)
    let found = try StaleSlots.clear(in: open.image.blocks, of: file)
    #expect(found.clearedPages == 0)
    #expect(found.refusal?.call == .fallocate && found.refusal?.errno == .badFileDescriptor)
    // To find them takes no right, and tells no more.
    let looked = try StaleSlots.find(in: open.image.blocks, of: file)
    #expect(looked.remaining == found.remaining && looked.refusal == nil)
    for block in try #require(open.fixture.expected.blocks) {
      #expect(found.remaining[block.idstr]?.population ?? 0 == Int(block.stale ?? 0))
    }
    #expect(found.remaining.values.allSatisfy { $0.population > 0 })
    #expect(try sha256(file.path) == open.fixture.expected.sha256)
    for (idstr, pages) in found.remaining {
      let block = try #require(open.image.blocks.first { $0.idstr == idstr })
      var both = try #require(try block.readBitmap(from: file))
      both.formIntersection(pages)
      #expect(both.population == 0)
    }
  }

  @Test func otherBlocksAreLeftAlone() throws {
    let open = try OpenFixture("live")
    let others = open.image.blocks.filter { $0.idstr != "pc.ram" }
    let found = try StaleSlots.clear(in: others, of: open.file)
    #expect(found == (try StaleSlots.clear(in: [], of: open.file)))
    #expect(try sha256(open.file.path) == open.fixture.expected.sha256)
  }

  @Test func aCancellationEndsIt() throws {
    let open = try OpenFixture("live")
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      try StaleSlots.clear(in: open.image.blocks, of: open.file, cancellation: cancellation)
    }
  }

  /// An image with a bit for a random half of its pages, and something in every slot.
  private func scribbled(
    pageSize: Int, pages: Int, on path: FilePath
  ) throws -> (image: Image, file: File, present: PageBitmap) {
    var generator = SeededGenerator()
    let size = try #require(PageSize(byteCount: UInt64(pageSize)))
    let guest = try TestGuest(pages: [pages], pageSize: size, zeroFraction: 0.5, using: &generator)
    if !exists(path) { try Subprocess.succeed(["touch", path.string]) }
    _ = try ImageSave(try guest.plan()).run(to: path, inPlace: true)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let image = try Image(reading: file)
    let present = try #require(try image.blocks[0].readBitmap(from: file))
    let slots = try #require(image.blocks[0].layout.pages).lowerBound.rawValue
    for page in 0..<pages where !present[page] {
      try file.write(
        [UInt8](repeating: 0xEE, count: pageSize), at: slots + UInt64(page * pageSize))
    }
    return (image, file, present)
  }

  private func exists(_ path: FilePath) -> Bool {
    (try? File.open(path, access: .read, directIO: .off)) != nil
  }

  private func slots(_ image: Image, _ file: File) throws -> [UInt8] {
    let place = try #require(image.blocks[0].layout.pages)
    return try file.readBytes(
      at: place.lowerBound.rawValue, count: Int(place.byteCount.rawValue))
  }

  private func expectCleared(
    _ image: Image, _ file: File, _ present: PageBitmap, before: [UInt8]
  ) throws {
    let after = try slots(image, file)
    let pageSize = image.blocks[0].pageSize.byteCount
    for page in 0..<present.pageCount {
      let range = page * pageSize..<(page + 1) * pageSize
      #expect(
        present[page] ? after[range] == before[range] : after[range].allSatisfy { $0 == 0 },
        "page \(page)")
    }
  }

  /// Pages smaller than the file system's blocks: what shares a block with a present page is zeroed too, and not more.
  @Test(arguments: [1024, 2048, 4096, 65536])
  func pagesSmallerThanABlockAreCleared(_ pageSize: Int) throws {
    let directory = try TemporaryDirectory()
    let (image, file, present) = try scribbled(
      pageSize: pageSize, pages: 130, on: directory.file("image"))
    let before = try slots(image, file)
    let found = try StaleSlots.clear(in: image.blocks, of: file)
    #expect(found.remaining.isEmpty)
    #expect(found.clearedPages == 130 - present.population)
    try expectCleared(image, file, present, before: before)
    #expect(try StaleSlots.clear(in: image.blocks, of: file).remaining.isEmpty)
    try expectCleared(image, file, present, before: before)
  }

  /// What was allocated and never written reads as zeros: nobody has to do anything about it.
  @Test func allocatedSlotsThatWereNeverWrittenAreNotStale() throws {
    let open = try OpenFixture("microvm")
    let slots = try #require(open.image.blocks[0].layout.pages)
    try Subprocess.succeed([
      "fallocate", "--keep-size", "-o", slots.lowerBound.rawValue.description, "-l",
      slots.byteCount.description, open.file.path.string,
    ])
    let file = try File.open(open.file.path, access: .read)
    let found = try StaleSlots.clear(in: open.image.blocks, of: file)
    #expect(found.remaining.isEmpty && found.clearedPages == 0)
  }

  /// A device has no holes to go by: all absent slots are cleared, or read where that is refused.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"), arguments: [true, false])
  func aDevicesSlotsAreClearedOrListed(_ isWritable: Bool) throws {
    let directory = try TemporaryDirectory()
    let device = try LoopDevice(byteCount: 8 << 20, in: directory)
    let (image, written, present) = try scribbled(pageSize: 4096, pages: 200, on: device.path)
    // One of the absent slots is zeros by chance.
    let absent = try #require((0..<200).first { !present[$0] })
    let place = try #require(image.blocks[0].layout.pages).lowerBound.rawValue
    try written.write([UInt8](repeating: 0, count: 4096), at: place + UInt64(absent * 4096))
    let before = try slots(image, written)
    let file =
      isWritable ? written : try File.open(device.path, access: .read, directIO: .off)
    let found = try StaleSlots.clear(in: image.blocks, of: file)
    if isWritable {
      #expect(found.remaining.isEmpty && found.clearedPages == 200 - present.population)
      try expectCleared(image, file, present, before: before)
    } else {
      var expected = PageBitmap(pageCount: 200)
      expected.insert(0..<200)
      expected.subtract(present)
      expected[absent] = false
      #expect(found.remaining == ["ram0": expected] && found.clearedPages == 0)
      #expect(try slots(image, written) == before)
    }
  }
}
