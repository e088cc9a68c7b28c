import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Images whose pages begin at multiples of 2 MiB, written and read.
@Suite struct SlotLayoutSaveTests {
  let directory: TemporaryDirectory
  let guest: TestGuest

  init() throws {
    directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    // A huge page and a bit, a page less than one, one, and one page.
    guest = try TestGuest(pages: [700, 511, 512, 1], using: &generator)
  }

  @Test func eachBlockIsAtItsMultipleAndHasItsPages() throws {
    let path = directory.file("image")
    let report = try ImageSave(guest.plan(slots: .hugePages)).run(to: path)
    let image = try Image(at: path)
    #expect(image.problems.isEmpty && image.remarks == [.noDescription])
    #expect(image.blocks.map(\.layout.fitsHugePages) == [true, false, true, false])
    let offsets = image.blocks.compactMap { $0.layout.pages?.lowerBound.rawValue }
    #expect(offsets == [2, 5, 8, 11].map { $0 << 20 })
    #expect(image.slots == .hugePages)
    #expect(image.fileSize == report.imageEnd)
    #expect(try restoreToMemory(path) == guest.blocks.indices.map(guest.contents))
    let read = try ImageDecoderOracle.read(path)
    #expect(read.blocks?.map(\.stale) == [0, 0, 0, 0])
  }

  /// The gaps are holes: the layout takes no room but in the file's length.
  @Test func itTakesNoMoreRoom() throws {
    let paths = SlotLayout.allCases.map { directory.file($0.rawValue) }
    for (slots, path) in zip(SlotLayout.allCases, paths) {
      _ = try ImageSave(guest.plan(slots: slots, keepsHoles: true)).run(to: path)
    }
    let allocated = try paths.map { path in
      let file = try File.open(path, access: .readWrite, directIO: .off)
      try file.syncData()
      return try file.allocatedBytes()
    }
    // The structures between the blocks may lie over one 4 KiB block of the file system more.
    #expect(allocated[1] <= allocated[0] + 5 * 4096, "\(allocated)")
  }

  @Test func inPlaceAndAtAnOffset() throws {
    let path = directory.file("image")
    _ = try ImageSave(guest.plan()).run(to: path)
    let planned = try guest.plan()
    let plan = try SavePlan(
      prologue: planned.prologue, blocks: planned.blocks, tail: planned.tail,
      streamOffset: 0x1F_FFF0, slots: .hugePages, for: "plan")
    _ = try ImageSave(plan).run(to: path, inPlace: true)
    let image = try Image(at: path, streamOffset: 0x1F_FFF0)
    // The multiples are the file's, wherever the stream begins.
    #expect(image.blocks[0].layout.pages?.lowerBound == 0x40_0000)
    #expect(image.slots == .hugePages)
  }

  /// As measured: a whole number of huge pages, or less than one.
  @Test(arguments: [0, 128, 1280, 2048, 4096, 6144, 8192])
  func readingAheadInHugePagesIsInNobodysWay(kibibytes: Int) {
    #expect(!HugePageObstacle.isUneven(kibibytes))
    for other in [2049, kibibytes + 2049, kibibytes + 4095] where other % 2048 != 0 {
      #expect(HugePageObstacle.isUneven(other))
    }
    #expect(HugePageObstacle.readAhead(kibibytes: 2560, device: "/dev/x").isPartial)
    #expect(!HugePageObstacle.disabled.isPartial)
  }

  @Test func whatIsInTheWayOfHugePagesIsNamed() throws {
    func obstacles(_ plan: SavePlan) throws -> [HugePageObstacle] {
      let path = directory.file("obstacles")
      _ = try ImageSave(plan).run(to: path)
      return try Image(at: path).hugePageObstacles().filter {
        switch $0 {
        case .smallBlocks, .pagesOffset: true
        case .fileSystem, .disabled, .readAhead: false
        }
      }
    }
    #expect(try obstacles(guest.plan(slots: .hugePages)).isEmpty)
    #expect(
      try obstacles(guest.plan()) == [.pagesOffset(idstr: "ram0", found: 0x10_0000)])
    var generator = SeededGenerator()
    let small = try TestGuest(pages: [1, 511], using: &generator)
    for slots in SlotLayout.allCases {
      #expect(try obstacles(small.plan(slots: slots)) == [.smallBlocks])
    }
  }
}
