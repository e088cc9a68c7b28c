import Foundation
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What is damaged is put back from whatever has it, and nothing else is touched.
@Suite struct RepairTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func save(_ plan: SavePlan, to name: String) throws -> FilePath {
    let path = directory.file(name)
    var save = ImageSave(plan)
    save.hasChecksums = true
    _ = try save.run(to: path)
    return path
  }

  private func copy(_ path: FilePath, to name: String) throws -> FilePath {
    try Subprocess.succeed(["cp", "--sparse=always", path.string, directory.file(name).string])
    return directory.file(name)
  }

  private func repair(_ path: FilePath, from others: FilePath...) throws -> ImageRepair.Outcome {
    try ImageRepair(path, from: others).run()
  }

  private func open(_ path: FilePath) throws -> File {
    try File.open(path, access: .readWrite, directIO: .off)
  }

  /// Changes each byte of `range`.
  private func damage(_ path: FilePath, _ range: Range<UInt64>) throws {
    let file = try open(path)
    let bytes = try file.readBytes(at: range.lowerBound, count: range.count)
    try file.write(bytes.map { $0 ^ 0x5A }, at: range.lowerBound)
  }

  private static func slot(_ page: Int, of block: Int, in image: Image) throws -> UInt64 {
    let slots = try #require(image.blocks[block].layout.pages?.lowerBound.rawValue)
    return slots + UInt64(page) << 12
  }

  /// A guest with a device, and its plan.
  private func guest(
    using generator: inout SeededGenerator
  ) throws -> (guest: TestGuest, device: DeviceSource) {
    (
      try TestGuest(pages: [300, 40], zeroFraction: 0.4, using: &generator),
      DeviceSource(
        DeviceIdentity("gpu"),
        from: TestDevice([.init(bytes: generator.bytes(9000)), .init(bytes: [7])]))
    )
  }

  /// Pages and stretches of the file, one after the other and together: all is as it was, to the byte.
  @Test func fromACopyAllIsAsItWas() throws {
    var generator = SeededGenerator()
    let (guest, device) = try guest(using: &generator)
    let whole = try save(
      guest.plan(tail: TestGuest.describedTail()).with(devices: [device]), to: "whole")
    let sum = try sha256(whole)
    let image = try Image(at: whole)
    let end = try #require(image.tail?.upperBound.rawValue)
    let size = image.fileSize.rawValue
    let bitmap = try #require(image.blocks[0].layout.bitmap)
    let buffer = try #require(image.deviceArea?.devices[0].buffers[0])
    let sums = try #require(image.areas.headers.first { $0.kind == .sums })
    let devices = try #require(image.areas.headers.first { $0.kind == .devices })
    let present = try #require(
      try image.blocks[0].readBitmap(from: open(whole))?.runs.first { _ in true }?.lowerBound)
    let slot = try Self.slot(present, of: 0, in: image)
    let ranges: [String: [Range<UInt64>]] = [
      "page": [slot..<slot + 4096], "start": [0..<100],
      "bitmap": [bitmap.lowerBound.rawValue..<bitmap.lowerBound.rawValue + 8],
      "tail": [end - 300..<end - 100],
      "buffer": [
        buffer.offset.rawValue + 50..<buffer.offset.rawValue + 5000
      ],
      "header of sums": [sums.range.lowerBound.rawValue..<sums.end.rawValue],
      "entries": [sums.end.rawValue..<sums.end.rawValue + 40],
      "table of sums": [sums.table.lowerBound.rawValue + 3..<sums.table.lowerBound.rawValue + 99],
      "area of sums": [sums.range.lowerBound.rawValue..<sums.range.upperBound.rawValue],
      "header of devices": [devices.range.lowerBound.rawValue..<devices.end.rawValue],
      "table of devices": [devices.table.lowerBound.rawValue..<devices.table.upperBound.rawValue],
      "closing": [sums.range.upperBound.rawValue..<size], "line": [size - 20..<size],
      "ends": [0..<8, size - 1..<size],
      "page and sums": [
        slot + 7..<slot + 8, sums.end.rawValue..<sums.end.rawValue + 16,
      ],
      "many": [
        0..<30, slot + 1..<slot + 70, bitmap.lowerBound.rawValue..<bitmap.lowerBound.rawValue + 1,
        end - 50..<end - 40, buffer.offset.rawValue..<buffer.offset.rawValue + 1, size - 9..<size,
      ],
    ]
    for (name, ranges) in ranges.sorted(by: { $0.key < $1.key }) {
      let path = try copy(whole, to: "damaged")
      for range in ranges { try damage(path, range) }
      #expect(try !ImageVerification(at: path).run().isWhole, "\(name)")
      let outcome = try repair(path, from: whole)
      #expect(outcome.verification.isWhole, "\(name): \(outcome.verification.damage)")
      #expect(!outcome.repaired.isEmpty, "\(name)")
      #expect(try sha256(path) == sum, "\(name): \(outcome.repaired)")
      // Nothing is left to do, and nothing is done.
      #expect(try repair(path, from: whole).repaired == [], "\(name)")
    }
    // What is cut off behind the stream comes back too.
    for count in [size - 10, sums.table.lowerBound.rawValue + 5, sums.end.rawValue + 5, end + 70] {
      let path = try copy(whole, to: "damaged")
      try open(path).truncate(to: count)
      let outcome = try repair(path, from: whole)
      #expect(
        try outcome.verification.isWhole && sha256(path) == sum,
        "cut at \(count): \(outcome.verification.damage)")
    }
    #expect(try sha256(whole) == sum)
  }

  /// One bit anywhere: whole again, from a copy.
  @Test func eachFlippedBitIsPutBack() throws {
    var generator = SeededGenerator()
    let (guest, device) = try guest(using: &generator)
    let whole = try save(
      guest.plan(tail: TestGuest.describedTail()).with(devices: [device]), to: "whole")
    let path = try copy(whole, to: "damaged")
    let image = try Image(at: whole)
    let size = image.fileSize.rawValue
    let tail = try #require(image.tail?.lowerBound.rawValue)
    let file = try open(path)
    for number in 0..<120 {
      let range = [0..<300, tail..<size, 0..<size][number % 3]
      let offset = UInt64.random(in: range, using: &generator)
      let byte = try file.readBytes(at: offset, count: 1)[0]
      try file.write([byte ^ 1 << UInt8.random(in: 0..<8, using: &generator)], at: offset)
      let wasWhole = try ImageVerification(at: path).run().isWhole
      let outcome = try repair(path, from: whole)
      #expect(
        outcome.verification.isWhole && outcome.repaired.isEmpty == wasWhole,
        "bit of \(offset): \(outcome.verification.damage), \(outcome.repaired)")
      try file.write([byte], at: offset)
    }
  }

  /// An older image, in another layout, without sums: what is still the same comes from there, also of a chunk in which something else has
  /// changed; the rest stays damaged, and is named.
  @Test func anOlderImageHelpsWithWhatIsTheSame() throws {
    var generator = SeededGenerator()
    let (guest, _) = try guest(using: &generator)
    guest.blocks[0].pages.put([1], at: 5 << 12)
    guest.blocks[0].pages.put([2], at: 7 << 12)
    guest.blocks[0].pages.put([3], at: 40 << 12)
    let older = directory.file("older")
    _ = try ImageSave(guest.plan(slots: .hugePages)).run(to: older)
    guest.blocks[0].pages.put([9], at: 7 << 12)
    guest.blocks[0].pages.put([9], at: 40 << 12)
    let path = try save(guest.plan(), to: "image")
    let (image, sum) = (try Image(at: path), try sha256(path))
    let five = try Self.slot(5, of: 0, in: image)
    try damage(path, five + 100..<five + 200)
    let outcome = try repair(path, from: older)
    #expect(
      outcome.repaired == [
        ImageRepair.Repaired(
          part: .pages(idstr: "ram0", 5..<6), range: FileOffset(five)..<FileOffset(five + 4096),
          source: older)
      ])
    #expect(try outcome.verification.isWhole && sha256(path) == sum)

    let forty = try Self.slot(40, of: 0, in: image)
    for slot in [five, forty] { try damage(path, slot + 100..<slot + 200) }
    let bytes = try open(path).readBytes(at: forty, count: 4096)
    let second = try repair(path, from: older)
    #expect(second.repaired == outcome.repaired)
    #expect(second.verification.damagedChunkCount == 1)
    #expect(
      second.verification.damage == [
        .pages(
          idstr: "ram0", 32..<48,
          at: FileOffset(forty - 8 << 12)..<FileOffset(forty + 8 << 12))
      ])
    #expect(try open(path).readBytes(at: forty, count: 4096) == bytes)
    // Two together have it all.
    let other = try save(guest.plan(keepsHoles: true), to: "other")
    #expect(try repair(path, from: older, other).verification.isWhole)
    #expect(try sha256(path) == sum)
  }

  /// A directory has the same contents, though not the same bytes: pages, headers, bitmaps, states of devices.
  @Test(arguments: [SlotLayout.qemu, .hugePages]) func aDirectoryHelps(slots: SlotLayout) throws {
    var generator = SeededGenerator()
    let (guest, device) = try guest(using: &generator)
    let plan = try guest.plan(tail: TestGuest.describedTail(), slots: slots)
    let whole = try save(plan.with(devices: [device]), to: "whole")
    let parts = directory.file("parts")
    _ = try DirectoryRestore(try ImageRestore(at: whole), to: parts).run()
    let path = try copy(whole, to: "damaged")
    let image = try Image(at: whole)
    let end = try #require(image.tail?.upperBound.rawValue)
    let bitmap = try #require(image.blocks[1].layout.bitmap?.lowerBound.rawValue)
    let buffer = try #require(image.deviceArea?.devices[0].buffers[1]).offset.rawValue
    let present = try #require(
      try image.blocks[0].readBitmap(from: open(whole))?.runs.first { _ in true }?.lowerBound)
    let slot = try Self.slot(present, of: 0, in: image)
    for range in [
      10..<90, bitmap..<bitmap + 3, slot + 9..<slot + 10, end - 90..<end - 20, buffer..<buffer + 1,
    ] {
      try damage(path, range)
    }
    let outcome = try repair(path, from: parts)
    #expect(outcome.verification.isWhole, "\(outcome.verification.damage)")
    #expect(try sha256(path) == sha256(whole))
    #expect(outcome.repaired.count == 5 && outcome.repaired.allSatisfy { $0.source == parts })
  }

  /// Sums of chunks that are damaged themselves follow from pages that are whole.
  @Test func sumsAreMadeAnewOfWholePages() throws {
    var generator = SeededGenerator()
    let (guest, _) = try guest(using: &generator)
    let path = try save(guest.plan(), to: "image")
    let sum = try sha256(path)
    let header = try #require(try Image(at: path).areas.headers.first)
    try damage(path, header.end.rawValue..<header.end.rawValue + 50)
    try damage(path, header.table.upperBound.rawValue + 3..<header.table.upperBound.rawValue + 9)
    let outcome = try repair(path)
    #expect(outcome.verification.isWhole, "\(outcome.verification.damage)")
    #expect(outcome.repaired.map(\.source) == [nil, nil])
    #expect(try sha256(path) == sum)
  }

  /// An image of another VM, or none, has nothing that is wanted; and nothing is changed.
  @Test func nothingIsGuessed() throws {
    var generator = SeededGenerator()
    let (guest, _) = try guest(using: &generator)
    let path = try save(guest.plan(), to: "image")
    let other = try save(self.guest(using: &generator).guest.plan(), to: "other")
    let image = try Image(at: path)
    let page = try #require(
      try image.blocks[0].readBitmap(from: open(path))?.runs.first { _ in true }?.lowerBound)
    let slot = try Self.slot(page, of: 0, in: image)
    try damage(path, slot + 1..<slot + 2)
    let sum = try sha256(path)
    let outcome = try repair(path, from: other)
    #expect(outcome.repaired == [] && outcome.verification.damagedChunkCount == 1)
    #expect(try sha256(path) == sum)
    // Sums that another image has are not those of this one, even where they would fit.
    let header = try #require(image.areas.headers.first)
    try damage(path, header.range.lowerBound.rawValue..<header.range.upperBound.rawValue)
    let damaged = try sha256(path)
    let told = try repair(path, from: other)
    #expect(told.repaired == [] && !told.verification.hasSums)
    #expect(try sha256(path) == damaged)
  }

  /// Sums of another stream that was there are no reason to make that of this one.
  @Test func sumsOfAnotherImageAreRefused() throws {
    var generator = SeededGenerator()
    let (guest, _) = try guest(using: &generator)
    let older = try save(guest.plan(), to: "older")
    let path = try copy(older, to: "image")
    let header = try #require(try Image(at: path).areas.headers.first)
    try damage(path, 0..<header.range.lowerBound.rawValue)
    let sum = try sha256(path)
    #expect(throws: ImageError.contents(path, .foreignSums)) { try repair(path, from: older) }
    #expect(try sha256(path) == sum)
  }

  @Test func whatCannotBeRepairedIsRefused() throws {
    let plain = directory.file("plain")
    _ = try ImageSave(try TestGuest(pages: 30, step: 2).plan()).run(to: plain)
    let path = try save(TestGuest(pages: 30, step: 2).plan(), to: "image")
    #expect(throws: ImageError.contents(plain, .noSums)) { try repair(plain, from: path) }
    let link = directory.file("link")
    try Subprocess.succeed(["ln", path.string, link.string])
    #expect(throws: ImageError.plan(.sameFile(path, link))) { try repair(path, from: link) }
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      _ = try ImageRepair(path, from: [plain]).run(cancellation: cancellation)
    }
    let file = try open(path)
    try file.lock(.shared)
    #expect(throws: ImageError.self) { try repair(path, from: plain) }
  }

  /// A disk without room for a page that was a hole: that is told, and all that was whole is whole.
  @Test(.enabled(if: SmallFileSystem.isPermitted, "needs root")) func onAFullDisk() throws {
    let guest = try TestGuest(pages: 400, step: 1)
    let whole = try save(guest.plan(), to: "whole")
    let disk = try SmallFileSystem(byteCount: 8 << 20)
    let path = disk.file("image")
    try Subprocess.succeed(["cp", "--sparse=always", whole.string, path.string])
    let slot = try Self.slot(32, of: 0, in: try Image(at: path))
    try open(path).punchHole(slot..<slot + 128 << 10)
    let filler = try disk.freeByteCount() - (64 << 10)
    try Subprocess.succeed(["fallocate", "-l", "\(filler)", disk.file("filler").string])
    #expect(try ImageVerification(at: path).run().damagedChunkCount == 2)
    #expect {
      try repair(path, from: whole)
    } throws: { error in
      if case .system(let error)? = error as? ImageError { error.errno == .noSpace } else { false }
    }
    #expect(try ImageVerification(at: path).run().damagedChunkCount == 1)
    try Subprocess.succeed(["rm", disk.file("filler").string])
    #expect(try repair(path, from: whole).verification.isWhole)
    #expect(try sha256(path) == sha256(whole))
  }
}
