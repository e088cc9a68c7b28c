import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What an image says of zeros that were written between pages, for fewer requests.
@Suite struct ZeroSlotsTests {
  let directory: TemporaryDirectory
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("image")
  }

  /// Every second of 400 pages, but for the last one and that at the end of a piece of 256: it is not between two.
  private static let filled = 198

  /// A guest whose pages from each `step`-th on are zero; with 2, every second one.
  private func guest(step: Int) throws -> TestGuest {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [400], zeroFraction: 1, using: &generator)
    for page in stride(from: 0, to: 400, by: step) {
      guest.blocks[0].pages.put([1], at: page * 4096)
    }
    return guest
  }

  private static func description() throws -> [UInt8] {
    var output = ByteOutput()
    try DeviceDescription(opaque: [], configuration: TestGuest.configuration, pageSize: .fourKiB)
      .encode(into: &output)
    return output.bytes
  }

  private func plan(
    _ guest: TestGuest, tail: [UInt8], keepsHoles: Bool = false, statesZeroSlots: Bool = true
  ) throws -> SavePlan {
    let original = try guest.plan()
    var plan = try SavePlan(
      prologue: original.prologue, blocks: original.blocks, tail: [.bytes(tail)],
      keepsHoles: keepsHoles, for: path)
    plan.statesZeroSlots = statesZeroSlots
    return plan
  }

  private func save(_ plan: SavePlan, inPlace: Bool = false) throws -> Image {
    _ = try ImageSave(plan).run(to: path, inPlace: inPlace)
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.isComplete && image.problems.isEmpty)
    return image
  }

  /// The absent pages whose slots take space.
  private func filledSlots(of image: Image) throws -> Int {
    let file = try File.open(path, access: .read, directIO: .off)
    let present = try #require(try image.blocks[0].readBitmap(from: file))
    return try #require(try SlotAllocation.find(image.blocks[0], present: present, in: file))
      .stalePages.population
  }

  @Test(arguments: [false, true])
  func anImageSaysThatItsSlotsAreZeros(inPlace: Bool) throws {
    let tail = try TestGuest.tail + Self.description()
    let guest = try guest(step: 2)
    // What is in a file that is written in place is longer, and has a description of its own.
    if inPlace { _ = try save(plan(guest, tail: tail + tail)) }
    let image = try save(plan(guest, tail: tail), inPlace: inPlace)
    #expect(image.statesZeroSlots)
    #expect(try filledSlots(of: image) == Self.filled)
    #expect(image.blocks[0].pagesPresent == 200)
    #expect(try restoreToMemory(path) == [guest.contents(0)])
    // Nothing else of the description is another.
    let stated = try #require(image.description)
    #expect(stated.devices == [] && stated.pageSize == .fourKiB && stated.configuration != nil)
    let end = try #require(image.tail).upperBound
    #expect(try File.open(path, access: .read).size() == end.rawValue)
  }

  /// As QEMU would have written it, byte for byte.
  @Test(arguments: [(1, false), (100, false), (2, true)])
  func nothingIsSaidWhereAllSlotsAreHoles(step: Int, keepsHoles: Bool) throws {
    let tail = try TestGuest.tail + Self.description()
    let image = try save(plan(guest(step: step), tail: tail, keepsHoles: keepsHoles))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == 0)
    let place = try #require(image.tail)
    #expect(
      try File.open(path, access: .read)
        .readBytes(at: place.lowerBound.rawValue, count: Int(place.byteCount.rawValue)) == tail)
  }

  /// Written through or not, the bytes are the same.
  @Test func nothingIsSaidUnlessItIsAskedFor() throws {
    let tail = try TestGuest.tail + Self.description()
    let guest = try guest(step: 2)
    let image = try save(plan(guest, tail: tail, statesZeroSlots: false))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == Self.filled)
    let written = try sha256(path)
    _ = try save(plan(guest, tail: tail, keepsHoles: true))
    #expect(try sha256(path) == written)
  }

  @Test func nothingIsSaidWithoutADescription() throws {
    let image = try save(plan(guest(step: 2), tail: TestGuest.tail))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == Self.filled)
  }

  /// Their buffers stand right behind the stream while the pages are still being written.
  @Test func nothingIsSaidBeforeAnAreaOfDevices() throws {
    let tail = try TestGuest.tail + Self.description()
    let device = DeviceSave(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
    let image = try save(plan(guest(step: 2), tail: tail).with(devices: [device]))
    #expect(!image.statesZeroSlots && image.deviceArea?.devices.count == 1)
  }
}
