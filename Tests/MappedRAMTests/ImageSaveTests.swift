import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Where an image is written, and what becomes of what was there.
@Suite struct ImageSaveTests {
  let directory: TemporaryDirectory
  let guest: TestGuest

  init() throws {
    directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    guest = try TestGuest(pages: [300, 40], using: &generator)
  }

  /// What is no image is replaced, whole, only if that is allowed; an image always.
  @Test func replacesAFile() throws {
    let path = directory.file("image")
    try File.make(path, [UInt8](repeating: 0xEE, count: 9 << 20))
    let before = try sha256(path)
    for inPlace in [false, true] {
      #expect(throws: ImageError.target(.notAnImage(path, found: nil))) {
        try ImageSave(try guest.plan()).run(to: path, inPlace: inPlace)
      }
    }
    #expect(try sha256(path) == before)
    _ = try ImageSave(try guest.plan()).run(to: path, replacing: .anything)
    _ = try ImageSave(try guest.plan()).run(to: path)
    #expect(try restoreToMemory(path) == guest.blocks.indices.map(guest.contents))
    #expect(try names(in: directory) == ["image"])
  }

  /// A save whose device state is no such thing leaves what was there before.
  @Test func keepsTheOldImageWhereTheNewOneIsNotReadable() throws {
    let path = directory.file("image")
    _ = try ImageSave(try guest.plan()).run(to: path)
    let before = try sha256(path)
    #expect {
      try ImageSave(planWithBadTail()).run(to: path)
    } throws: { error in
      if case .save(.unreadable)? = error as? ImageError { true } else { false }
    }
    #expect(try sha256(path) == before)
    #expect(try names(in: directory) == ["image"])
  }

  /// In place there is no old image to keep, but the bad one is not left to be taken for one.
  @Test func anUnreadableImageInPlaceHasNoHeader() throws {
    let path = directory.file("image")
    _ = try ImageSave(try guest.plan()).run(to: path)
    #expect(throws: ImageError.self) {
      try ImageSave(planWithBadTail()).run(to: path, inPlace: true)
    }
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.problems.map(\.context) == [.streamHeader])
  }

  private func planWithBadTail() throws -> SavePlan {
    try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: guest.blocks.map { SavePlan.Block($0.block, pages: $0.pages) },
      tail: [.bytes([0x55, 0x55])], for: "plan")
  }

  /// In place, the file stays the same inode, what stands before the stream stays too, and the image is readable at its offset.
  @Test func writesInPlaceAtAnOffset() throws {
    let path = directory.file("image")
    try File.make(path, [UInt8](repeating: 0xEE, count: 9 << 20))
    let inode = try Subprocess.succeed(["stat", "-c", "%i", path.string]).text
    let head = try File.open(path, access: .read).readBytes(at: 0, count: 5000)
    let planned = try guest.plan()
    let plan = try SavePlan(
      prologue: planned.prologue, blocks: planned.blocks, tail: planned.tail, streamOffset: 5000,
      for: "plan")
    #expect(throws: ImageError.target(.notAnImage(path, found: nil))) {
      try ImageSave(plan).run(to: path, inPlace: true)
    }
    _ = try ImageSave(plan).run(to: path, inPlace: true, replacing: .anything)
    // An image is known by the stream at its offset as well.
    _ = try ImageSave(plan).run(to: path, inPlace: true)
    #expect(try Subprocess.succeed(["stat", "-c", "%i", path.string]).text == inode)
    let file = try File.open(path, access: .read)
    #expect(try file.readBytes(at: 0, count: 5000) == head)
    let image = try Image(reading: file, streamOffset: 5000)
    #expect(image.problems.isEmpty && image.blocks.count == 2)
    // The fresh file's slots are holes again, whatever was there.
    #expect(try ImageDecoderOracle.read(path, offset: 5000).blocks?.map(\.stale) == [0, 0])
  }

  /// An in-place save that fails leaves no stream header: nobody takes the torso for an image.
  @Test func aFailedInPlaceSaveIsNoImage() throws {
    let path = directory.file("image")
    _ = try ImageSave(try guest.plan()).run(to: path)
    var save = ImageSave(try guest.plan())
    save.factory = FaultyFactory(faults: Faults { _, _, _ in .error(.ioError) })
    #expect(throws: ImageError.self) { try save.run(to: path, inPlace: true) }
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.problems.map(\.context) == [.streamHeader])
  }

  /// The block device's own size is what counts; there the header comes last as well.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func writesToABlockDevice() throws {
    let backing = directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", "8M", backing.string])
    let device = try LoopDevice(backing)
    _ = try ImageSave(try guest.plan()).run(to: device.path)
    #expect(try restoreToMemory(device.path) == guest.blocks.indices.map(guest.contents))
    let image = try Image(reading: File.open(device.path, access: .read))
    #expect(image.problems.isEmpty)
  }

  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func refusesABlockDeviceThatIsTooSmall() throws {
    let backing = directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", "1M", backing.string])
    let device = try LoopDevice(backing)
    #expect {
      try ImageSave(try guest.plan()).run(to: device.path)
    } throws: { error in
      if case .target(.tooSmall(_, found: 1 << 20, _))? = error as? ImageError {
        true
      } else {
        false
      }
    }
  }

  /// Syncs may be repeated, with more work between them: what a live save will need.
  @Test func aPoolSyncsAgainAndAgain() throws {
    let file = try PendingFile.create(at: directory.file("image")).file
    let options = ChannelOptions(channels: 2, queueDepth: 3, requestBytes: 64 << 10)
    let progress = TransferProgress()
    var pool = try ChannelPool(
      options, extentBytes: 256 << 10, progress: progress, cancellation: Cancellation())
    try pool.sync()
    for round in 1...5 {
      for (block, pages) in guest.blocks {
        pool.enqueue(
          BlockSave(
            block, from: pages, to: file, slots: 1_048_576, forced: nil, extentBytes: 256 << 10))
      }
      try pool.sync()
      #expect(progress.doneBytes == UInt64(round * 340 * 4096))
    }
    let report = try pool.finish()
    #expect(report.totals.bytesWritten % 5 == 0)
  }
}
