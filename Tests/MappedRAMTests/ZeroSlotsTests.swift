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

  /// Every second of 400 pages, but for the last one and that at the end of an extent of 256: it is not between two.
  private static let filled = 198

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
    let tail = try TestGuest.describedTail()
    let guest = try TestGuest(pages: 400, step: 2)
    // What is in a file that is written in place is longer, and has a description of its own.
    if inPlace { _ = try save(guest.plan(tail: tail + tail, statesZeroSlots: true)) }
    let image = try save(guest.plan(tail: tail, statesZeroSlots: true), inPlace: inPlace)
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
    let tail = try TestGuest.describedTail()
    let image = try save(
      TestGuest(pages: 400, step: step)
        .plan(tail: tail, keepsHoles: keepsHoles, statesZeroSlots: true))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == 0)
    let place = try #require(image.tail)
    #expect(
      try File.open(path, access: .read)
        .readBytes(at: place.lowerBound.rawValue, count: Int(place.byteCount.rawValue)) == tail)
  }

  /// Written through or not, the bytes are the same.
  @Test func nothingIsSaidUnlessItIsAskedFor() throws {
    let tail = try TestGuest.describedTail()
    let guest = try TestGuest(pages: 400, step: 2)
    let image = try save(guest.plan(tail: tail))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == Self.filled)
    let written = try sha256(path)
    _ = try save(guest.plan(tail: tail, keepsHoles: true, statesZeroSlots: true))
    #expect(try sha256(path) == written)
  }

  @Test func nothingIsSaidWithoutADescription() throws {
    let image = try save(TestGuest(pages: 400, step: 2).plan(statesZeroSlots: true))
    #expect(!image.statesZeroSlots)
    #expect(try filledSlots(of: image) == Self.filled)
  }

  /// Their buffers stand right behind the stream while the pages are still being written.
  @Test func nothingIsSaidBeforeAnAreaOfDevices() throws {
    let tail = try TestGuest.describedTail()
    let device = DeviceSource(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
    let image = try save(
      TestGuest(pages: 400, step: 2).plan(tail: tail, statesZeroSlots: true)
        .with(devices: [device]))
    #expect(!image.statesZeroSlots && image.deviceArea?.devices.count == 1)
  }
}
