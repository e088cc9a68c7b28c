import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Checksums for images that have none: behind the stream, which stays as it was, whatever happens.
@Suite struct SealTests {
  let directory: TemporaryDirectory
  let image: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = directory.file("image")
  }

  /// An image without checksums.
  private func saveGuest(devices: [DeviceSource] = []) throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 90], using: &generator)
    let plan = try guest.plan(tail: TestGuest.describedTail()).with(devices: devices)
    _ = try ImageSave(plan).run(to: image)
  }

  private func verify(_ path: FilePath, at offset: FileOffset? = nil) throws
    -> ImageVerification.Outcome
  {
    try ImageVerification(at: path, streamOffset: offset).run()
  }

  private func bytes(_ path: FilePath) throws -> [UInt8] {
    let file = try File.open(path, access: .read, directIO: .off)
    return try file.readBytes(at: 0, count: Int(file.size()))
  }

  private func error(_ body: () throws -> Void) -> ImageError? {
    do { try body() } catch let error as ImageError { return error } catch {}
    return nil
  }

  /// Images that QEMU and libvirt wrote, in place and as a copy: the stream is the same, byte for byte, and the two ways give one file.
  @Test(arguments: Fixture.complete.filter { $0.name != "areas" })
  func imagesOfOthersGetThem(_ fixture: Fixture) throws {
    let original = try fixture.unpack(into: directory)
    let sealed = directory.file("sealed")
    let copy = directory.file("copy")
    try Subprocess.succeed(["cp", "--sparse=always", original.string, sealed.string])
    let offset = fixture.expected.libvirt == nil ? FileOffset(fixture.expected.streamOffset) : nil
    let before = try Image(at: original, streamOffset: offset)
    let report = try #require(try ImageSeal(sealed, streamOffset: offset).run())
    #expect(report.hasChecksums && report.presentBytes == before.presentBytes)
    let copying = try ImageSeal(original, streamOffset: offset).run(copyingTo: copy)
    #expect(copying.hasChecksums && copying.presentBytes == before.presentBytes)
    #expect(try sha256(original) == fixture.expected.sha256, "what is copied is only read")
    let old = try bytes(original)
    #expect(try bytes(sealed).starts(with: old))
    let image = try Image(at: sealed, streamOffset: offset)
    #expect(image.areas.headers.map(\.kind) == [.sums] && image.problems == [])
    #expect(report.imageEnd == image.fileSize)
    let outcome = try verify(sealed, at: offset)
    #expect(outcome.isWhole, "\(outcome.damage)")
    let copied = try verify(copy, at: offset)
    #expect(copied.isWhole && copied.root == outcome.root)
    #expect(copied.image.fileSize == image.fileSize)
    // Other readers of the sums come to the same.
    let apart = directory.file("apart")
    let restore = ImageRestore(
      try File.open(sealed, access: .read, directIO: .off), streamOffset: offset)
    _ = try DirectoryRestore(restore, to: apart).run()
    var comparison = try ImageComparison(of: sealed, with: copy)
    comparison.streamOffset = offset
    let found = try comparison.run()
    #expect(found.isEqual && found.remarks == [] && found.report.totals.bytesRead == 0)
    // What is sealed is not sealed again.
    #expect(try ImageSeal(sealed, streamOffset: offset).run() == nil)
    #expect(
      error {
        _ = try ImageSeal(sealed, streamOffset: offset).run(copyingTo: directory.file("c"))
      } == .target(.alreadySealed(sealed)))
    #expect(
      error { _ = try ImageSeal(original, streamOffset: offset).run(copyingTo: original) }
        == .target(.copyOfItself(original)))
    #expect(try sha256(original) == fixture.expected.sha256)
  }

  /// The sums are those that a save would have written.
  @Test func theyAreThoseOfASave() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [700, 90], zeroFraction: 0.6, using: &generator)
    let plan = try guest.plan(tail: TestGuest.describedTail())
    _ = try ImageSave(plan).run(to: image)
    var save = ImageSave(plan)
    save.hasChecksums = true
    _ = try save.run(to: directory.file("saved"))
    _ = try ImageSeal(image).run()
    #expect(try sha256(image) == sha256(directory.file("saved")))
  }

  /// What somebody else writes into a file of ours gets them before it has its name.
  @Test(arguments: [false, true]) func aForeignDraftGetsThem(isInPlace: Bool) throws {
    let original = try Fixture("microvm").unpack(into: directory)
    if isInPlace { try Subprocess.succeed(["touch", image.string]) }
    let draft = try ForeignDraft.begin(at: image, inPlace: isInPlace)
    let descriptor = try draft.file.openAgain(for: .writing, direct: false)
    try FileDescriptor(rawValue: descriptor.rawValue).writeAll(try bytes(original))
    let found = try draft.commit(checksums: .standard)
    #expect(found.areas.headers.map(\.kind) == [.sums])
    #expect(try verify(image).isWhole)
    _ = try ImageSeal(original).run()
    #expect(try sha256(image) == sha256(original))
  }

  /// Each state that the file goes through reads as it did: the first eight bytes of the area are what counts.
  @Test func untilTheLastEightBytesTheImageIsAsItWas() throws {
    try saveGuest()
    let before = try Image(at: image)
    let end = try #require(before.tail?.upperBound.rawValue)
    let plain = try bytes(image)
    _ = try ImageSeal(image).run()
    let sealed = try bytes(image)
    var unfinished = sealed
    unfinished.replaceSubrange(Int(end)..<(Int(end) + 8), with: repeatElement(0, count: 8))
    for count in [0, 1, 7, 8, 9, 63, 64, 65, 500, sealed.count - plain.count - 1] {
      try write(Array(unfinished[..<(Int(end) + count)]))
      let found = try Image(at: image)
      #expect(found.problems == [] && found.areas == .none && found.blocks == before.blocks)
      #expect(found.remarks == (count == 0 ? [] : [.bytesAfterEnd(ByteCount(count))]))
    }
    // With its last line there, it is known what that was to be.
    try write(unfinished)
    let found = try Image(at: image)
    #expect(found.problems == [] && found.areas == .none)
    #expect(found.remarks.contains(.unfinishedAreas(FileOffset(end))))
    #expect(try !verify(image).hasSums)
    // The next one removes what is there, and finishes.
    _ = try ImageSeal(image).run()
    #expect(try bytes(image) == sealed)
  }

  private func write(_ bytes: [UInt8]) throws {
    let file = try File.open(image, access: .readWrite, directIO: .off)
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
  }

  @Test func whatSomebodyElseHasPutBehindTheStreamIsKept() throws {
    try saveGuest()
    let end = try File.open(image, access: .read).size()
    let file = try File.open(image, access: .readWrite, directIO: .off)
    try file.write([1], at: end)
    let before = try sha256(image)
    #expect(
      error { _ = try ImageSeal(image).run() }
        == .target(.bytesBehindStream(image, at: end, 1)))
    #expect(try sha256(image) == before)
    // A copy goes without.
    let copy = directory.file("copy")
    _ = try ImageSeal(image).run(copyingTo: copy)
    #expect(try verify(copy).isWhole && verify(copy).image.remarks == [])
    // Zeros are nobody's.
    try file.write([0], at: end)
    #expect(try ImageSeal(image).run() != nil)
  }

  @Test func besideOtherAreasOnlyACopyGetsThem() throws {
    try saveGuest(devices: [
      DeviceSource(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
    ])
    let before = try sha256(image)
    #expect(error { _ = try ImageSeal(image).run() } == .target(.otherAreas(image)))
    #expect(try sha256(image) == before)
    let copy = directory.file("copy")
    _ = try ImageSeal(image).run(copyingTo: copy)
    let outcome = try verify(copy)
    #expect(outcome.isWhole && outcome.image.areas.headers.map(\.kind) == [.devices, .sums])
    #expect(try sha256(image) == before)
  }

  @Test func damagedAndIncompleteImagesAreRefused() throws {
    let killed = try Fixture("killed").unpack(into: directory)
    let before = try sha256(killed)
    guard case .format? = error({ _ = try ImageSeal(killed).run() }) else {
      Issue.record("it has been sealed")
      return
    }
    guard
      case .format? = error({ _ = try ImageSeal(killed).run(copyingTo: image) })
    else {
      Issue.record("it has been sealed")
      return
    }
    #expect(try sha256(killed) == before)
    #expect(!File.hasContents(at: image))
  }

  @Test(arguments: [false, true]) func cancelledMeansAsBefore(isCopied: Bool) throws {
    try saveGuest()
    let before = try sha256(image)
    let cancellation = Cancellation()
    cancellation.cancel()
    let copy = directory.file("copy")
    #expect(
      error {
        _ =
          isCopied
          ? try ImageSeal(image).run(copyingTo: copy, cancellation: cancellation)
          : try ImageSeal(image).run(cancellation: cancellation)
      } == .cancelled)
    #expect(try sha256(image) == before)
    #expect(try names(in: directory) == ["image"])
  }

  /// A VM that runs on the image has it locked.
  @Test func anImageInUseIsRefused() throws {
    try saveGuest()
    let user = try File.open(image, access: .read)
    try user.lock(.shared)
    guard case .system(let found)? = error({ _ = try ImageSeal(image).run() }) else {
      Issue.record("it has been sealed")
      return
    }
    #expect(found.errno == .wouldBlock)
  }

  @Test(.enabled(if: SmallFileSystem.isPermitted, "needs root, to mount a tmpfs"))
  func aFullDiskMeansAsBefore() throws {
    let small = try SmallFileSystem(byteCount: 32 << 20)
    let image = small.file("image")
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [6000], zeroFraction: 0.5, using: &generator)
    _ = try ImageSave(guest.plan(tail: TestGuest.describedTail())).run(to: image)
    let before = try sha256(image)
    // Whatever is left goes to another file; then there is no page for the area.
    let path = small.file("filler")
    try Subprocess.succeed(["touch", path.string])
    let filler = try File.open(path, access: .readWrite)
    var (offset, step) = (UInt64(0), 1 << 20)
    while step > 0 {
      do throws(SystemCallError) {
        try filler.write([UInt8](repeating: 1, count: step), at: offset)
        offset += UInt64(step)
      } catch {
        step /= 2
      }
    }
    var isFull = false
    if case .system(let found)? = error({ _ = try ImageSeal(image).run() }) {
      isFull = found.errno == .noSpace
    }
    #expect(isFull)
    #expect(try sha256(image) == before)
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func anImageOnADeviceGetsThem() throws {
    let backing = directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", "8M", backing.string])
    let loop = try LoopDevice(backing)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [200], using: &generator)
    _ = try ImageSave(guest.plan(tail: TestGuest.describedTail())).run(to: loop.path)
    #expect(try ImageSeal(loop.path).run() != nil)
    #expect(try verify(loop.path).isWhole)
  }
}
