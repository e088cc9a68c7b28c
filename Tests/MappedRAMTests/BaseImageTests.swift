import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Images that share with an earlier one what has not changed, and are whole by themselves.
@Suite struct BaseImageTests {
  /// Kinds of file systems that can share blocks.
  static let sharing: [MountedFileSystem.Kind] = [.xfs, .btrfs]

  private func save(
    _ plan: SavePlan, to path: FilePath, base: FilePath? = nil, live: Bool = false,
    hasChecksums: Bool = true, _ meanwhile: () -> Void = {}
  ) throws -> TransferReport {
    var save = ImageSave(plan)
    save.hasChecksums = hasChecksums
    save.base = try base.map { try BaseImage(at: $0) }
    guard live else { return try save.run(to: path) }
    var ongoing = try save.begin(to: path, live: LiveOptions())
    try ongoing.runRounds()
    meanwhile()
    return try ongoing.writePages().finish()
  }

  private func used(_ place: MountedFileSystem) throws -> UInt64 {
    try Subprocess.succeed(["sync", "-f", place.path.string])
    let text = try Subprocess.succeed(["df", "-B1", "--output=used", place.path.string]).text
    return try #require(text.split(separator: "\n").last.flatMap { UInt64($0) })
  }

  /// Changes a page of every `step` chunks, some of them to zero or from zero.
  private func change(_ guest: TestGuest, every step: Int, using generator: inout SeededGenerator) {
    for page in stride(from: 3, to: guest.blocks[0].block.pageCount, by: 16 * step) {
      let bytes =
        Bool.random(using: &generator)
        ? [UInt8](repeating: 0, count: 4096) : generator.bytes(4096)
      guest.blocks[0].pages.put(bytes, at: page << 12)
    }
  }

  /// Ten images, each with the one before as its base: each is what the memory was, alone too, and they take the room of what changed.
  @Test(
    .enabled(if: LoopDevice.isAvailable, "needs loop devices"), arguments: sharing, [false, true])
  func imagesShareWhatHasNotChanged(on kind: MountedFileSystem.Kind, isLive: Bool) throws {
    let place = try MountedFileSystem(kind, mebibytes: 512)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [8000, 90], zeroFraction: 0.3, using: &generator)
    func path(_ number: Int) -> FilePath { place.path.appending("\(number)") }
    _ = try save(guest.plan(slots: .hugePages), to: path(0))
    let first = try used(place)
    for number in 1...10 {
      change(guest, every: 20, using: &generator)
      let before = try used(place)
      let report = try save(
        guest.plan(slots: .hugePages), to: path(number), base: path(number - 1), live: isLive)
      let base = try #require(report.base)
      #expect(base.obstacle == nil && base.sharedBytes > report.presentBytes * 9 / 10)
      let changed = report.presentBytes - base.sharedBytes
      let taken = try used(place) - before
      // 25 chunks of 64 KiB at most, and 10 %; what stands around the pages, and the file system's own, is about 100 KiB each.
      #expect(changed <= 25 << 16, "\(changed)")
      #expect(taken <= (26 << 16) * 11 / 10 + 512 << 10, "\(taken)")
      try Subprocess.succeed(["rm", path(number - 1).string])
      #expect(try restoreToMemory(path(number)) == guest.blocks.indices.map(guest.contents))
      let outcome = try ImageVerification(at: path(number)).run()
      #expect(outcome.isWhole, "\(outcome.damage)")
      // No slot of an absent page has anything of the base's.
      let image = try Image(at: path(number))
      #expect(
        try StaleSlots.find(in: image.blocks, of: File.open(path(number), access: .read))
          .remaining.isEmpty)
    }
    // What went was given back.
    #expect(try used(place) <= first + 4 << 20)
  }

  /// The same bytes as a full image, whatever the base had.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"), arguments: sharing)
  func theBytesAreThoseOfAFullImage(on kind: MountedFileSystem.Kind) throws {
    let place = try MountedFileSystem(kind)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 90], zeroFraction: 0.5, using: &generator)
    let (base, image, full) = (
      place.path.appending("base"), place.path.appending("image"), place.path.appending("full")
    )
    let device = DeviceSource(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
    _ = try save(guest.plan(tail: TestGuest.describedTail()).with(devices: [device]), to: base)
    let before = try sha256(base)
    change(guest, every: 2, using: &generator)
    let report = try save(guest.plan(), to: image, base: base)
    #expect(report.base?.obstacle == nil && report.base?.sharedBytes != 0)
    _ = try save(guest.plan(keepsHoles: true), to: full)
    #expect(try sha256(image) == sha256(full))
    #expect(try sha256(base) == before)
    // It may take the base's own place.
    _ = try save(guest.plan(), to: base, base: base)
    #expect(try sha256(base) == sha256(full))
  }

  /// Whatever stands in slots of pages that the base does not have, as QEMU's live saves leave it, is not in the new image.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"), arguments: [false, true])
  func staleSlotsOfTheBaseAreCleared(isLive: Bool) throws {
    let place = try MountedFileSystem(.xfs)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700], zeroFraction: 0.5, using: &generator)
    let (base, image) = (place.path.appending("base"), place.path.appending("image"))
    _ = try save(guest.plan(keepsHoles: true), to: base)
    let file = try File.open(base, access: .readWrite, directIO: .off)
    let block = try Image(at: base).blocks[0]
    let slots = try #require(block.layout.pages?.lowerBound.rawValue)
    let present = try #require(try block.readBitmap(from: file))
    let absent = (0..<700).filter { !present[$0] }
    for page in absent { try file.write(generator.bytes(4096), at: slots + UInt64(page) << 12) }
    #expect(try ImageVerification(at: base).run().isWhole)
    let report = try save(guest.plan(), to: image, base: base, live: isLive)
    #expect(report.base?.sharedBytes == report.presentBytes)
    #expect(try restoreToMemory(image) == [guest.contents(0)])
    let new = try File.open(image, access: .read)
    #expect(try StaleSlots.find(in: Image(at: image).blocks, of: new).remaining.isEmpty)
    #expect(absent.count > 100)
  }

  /// Zeros that the base has in gaps are shared too, and the new image says that they are zeros where the base does.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func whatTheBaseSaysOfItsGapsHolds() throws {
    let place = try MountedFileSystem(.xfs)
    let guest = try TestGuest(pages: 600, step: 2)
    let (base, image) = (place.path.appending("base"), place.path.appending("image"))
    let tail = try TestGuest.describedTail()
    _ = try save(guest.plan(tail: tail, statesZeroSlots: true), to: base)
    #expect(try Image(at: base).statesZeroSlots)
    // A page goes.
    guest.blocks[0].pages.put([UInt8](repeating: 0, count: 4096), at: 100 << 12)
    let report = try save(guest.plan(tail: tail, statesZeroSlots: true), to: image, base: base)
    #expect(report.base?.sharedBytes != 0)
    #expect(try Image(at: image).statesZeroSlots)
    let new = try File.open(image, access: .read)
    #expect(try StaleSlots.find(in: Image(at: image).blocks, of: new).remaining.isEmpty)
    #expect(try restoreToMemory(image) == [guest.contents(0)])
    #expect(try ImageVerification(at: image).run().isWhole)
  }

  /// Where nothing can be shared the image is a full one, and it is said why.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func elsewhereAnImageIsFull() throws {
    let place = try MountedFileSystem(.xfs)
    let other = try MountedFileSystem(.ext4)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700], using: &generator)
    let base = place.path.appending("base")
    let image = place.path.appending("image")
    func obstacle(_ plan: SavePlan, to path: FilePath? = nil) throws -> BaseObstacle? {
      let report = try save(plan, to: path ?? image, base: base)
      #expect(report.base?.sharedBytes == 0 && report.hasChecksums)
      #expect(try ImageVerification(at: path ?? image).run().isWhole)
      return try #require(report.base).obstacle
    }
    _ = try save(guest.plan(), to: base)
    #expect(try obstacle(guest.plan(), to: other.path.appending("image")) == .fileSystem)
    #expect(try obstacle(guest.plan(slots: .hugePages)) == .otherPlaces)
    let larger = try TestGuest(pages: [701], using: &generator)
    #expect(try obstacle(larger.plan()) == .otherPlaces)
    _ = try save(guest.plan(), to: base, hasChecksums: false)
    #expect(try obstacle(guest.plan()) == .noChecksums)
    // On a file system without it, in the same directory.
    let local = other.path.appending("base")
    _ = try save(guest.plan(), to: local)
    let report = try save(guest.plan(), to: other.path.appending("image"), base: local)
    #expect(report.base?.obstacle == .fileSystem)
  }

  @Test func aDamagedBaseIsRefused() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300], using: &generator)
    let path = directory.file("base")
    _ = try save(guest.plan(), to: path)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let image = try Image(at: path)
    let header = try #require(image.areas.headers.first)
    let bitmap = try #require(image.blocks[0].layout.bitmap)
    let places = [header.end, header.table.lowerBound, bitmap.lowerBound, .zero]
    for place in places {
      let byte = try file.readBytes(at: place.rawValue, count: 1)[0]
      try file.write([byte ^ 1], at: place.rawValue)
      #expect(throws: ImageError.self) { try BaseImage(at: path) }
      try file.write([byte], at: place.rawValue)
    }
    _ = try BaseImage(at: path)
    // Somebody who writes in place has it locked.
    let other = try File.open(path, access: .readWrite, directIO: .off)
    try other.lock(.exclusive)
    #expect(throws: ImageError.self) { try BaseImage(at: path) }
  }
}
