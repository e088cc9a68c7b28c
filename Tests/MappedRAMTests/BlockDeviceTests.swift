import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Images on block devices, which have neither holes nor an end.
@Suite(.serialized, .enabled(if: LoopDevice.isAvailable, "needs loop devices"))
struct BlockDeviceTests {
  /// What a device held before does not show through an image: not in holes of the device state, not behind the EOF byte, where
  /// 0x06 would begin a description.
  @Test(arguments: [0x06, 0xAA] as [UInt8])
  func oldBytesOfTheDeviceDoNotShowThrough(_ old: UInt8) throws {
    let directory = try TemporaryDirectory()
    let device = try Self.device(directory.file("disk"), byteCount: 16 << 20, filledWith: old)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300, 20], using: &generator)
    let state = try Self.sparseState()
    let original = try guest.plan()
    let plan = try SavePlan(
      prologue: original.prologue, blocks: original.blocks,
      tail: [.file(state, 0..<FileOffset(try state.size()))], for: device.path)
    _ = try ImageSave(plan).run(to: device.path)

    let file = try File.open(device.path, access: .read)
    let image = try Image(reading: file)
    #expect(image.isComplete)
    let tail = try #require(image.tail)
    #expect(tail.byteCount == ByteCount(try state.size()))
    #expect(
      try file.readBytes(at: tail.lowerBound.rawValue, count: Int(tail.byteCount.rawValue))
        == state.readBytes(at: 0, count: Int(try state.size())))
    #expect(try restoreToMemory(device.path) == guest.blocks.indices.map(guest.contents))
  }

  /// An image that says that its slots hold zeros is taken apart and written onto a device, where they hold what was there before.
  @Test func aDeviceDoesNotSayThatItsSlotsAreZeros() throws {
    let directory = try TemporaryDirectory()
    let device = try Self.device(directory.file("disk"), byteCount: 16 << 20, filledWith: 0xAA)
    let guest = try TestGuest(pages: 400, step: 2)
    let plan = try guest.plan(tail: TestGuest.describedTail(), statesZeroSlots: true)
    let path = directory.file("image")
    _ = try ImageSave(plan).run(to: path)
    let apart = directory.file("apart")
    _ = try DirectoryRestore(ImageRestore(File.open(path, access: .read)), to: apart).run()
    _ = try ImageSave(SavePlan.ofDirectory(apart)).run(to: device.path)

    let stating = try Image(reading: File.open(path, access: .read))
    let image = try Image(reading: File.open(device.path, access: .read))
    #expect(stating.statesZeroSlots)
    #expect(image.isComplete && image.problems.isEmpty && !image.statesZeroSlots)
    #expect(image.description?.devices == [] && image.tail == stating.tail)
    #expect(try restoreToMemory(device.path) == [guest.contents(0)])
    // The same without a directory between: what is written is zeros there, but what is not is old.
    _ = try ImageSave(plan).run(to: device.path)
    #expect(try !Image(reading: File.open(device.path, access: .read)).statesZeroSlots)
  }

  /// The same of a live save, whose plans somebody else made: of the one that it began with, and of the one that it ends with.
  @Test func aLiveSaveOntoADeviceDoesNotSayThatItsSlotsAreZeros() throws {
    let directory = try TemporaryDirectory()
    let device = try Self.device(directory.file("disk"), byteCount: 16 << 20, filledWith: 0xAA)
    let guest = try TestGuest(pages: 400, step: 2)
    let stating = try #require(
      try guest.plan(tail: TestGuest.describedTail(), statesZeroSlots: true).statingZeroSlots())
    for (path, states) in [(device.path, false), (directory.file("image"), true)] {
      var save = try ImageSave(stating).begin(
        to: path, replacing: .anything, live: LiveSaveTests.rounds(1))
      try save.runRounds()
      _ = try save.writePages(stating).finish()
      let image = try Image(reading: File.open(path, access: .read))
      #expect(image.isComplete && image.statesZeroSlots == states)
      #expect(image.description?.devices == [])
      #expect(try restoreToMemory(path) == [guest.contents(0)])
    }
  }

  /// What ends a device is of an older, longer image, and says nothing of the one that is there now: neither the lengths of its
  /// sections, nor that something is wrong with it.
  @Test(arguments: ["good", "damaged"]) func whatEndsTheDeviceDoesNotCount(_ old: String) throws {
    let directory = try TemporaryDirectory()
    let device = try Self.device(directory.file("disk"), byteCount: 16 << 20, filledWith: 0xAA)
    var description = ByteOutput()
    try DeviceDescription(
      opaque: [(SectionIdentity(idstr: "css", instanceID: 0, version: 1), 3)],
      configuration: TestGuest.configuration, pageSize: .fourKiB
    ).encode(into: &description)
    var bytes = description.bytes
    if old == "damaged" { bytes[bytes.count - 2] = UInt8(ascii: ":") }
    try File.open(device.path, access: .readWrite).write(
      bytes, at: 16 << 20 - UInt64(bytes.count))

    var tail = ByteOutput()
    tail.write(TestGuest.tail.dropLast())
    StreamElement.full(id: 7, SectionIdentity(idstr: "css", instanceID: 0, version: 1))
      .encode(into: &tail)
    tail.write([UInt8](repeating: 9, count: 20))
    SectionFooter(id: 7).encode(into: &tail)
    StreamElement.endOfStream.encode(into: &tail)
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [300, 20], using: &generator)
    _ = try ImageSave(guest.plan(tail: tail.bytes)).run(to: device.path, replacing: .anything)
    let image = try Image(reading: File.open(device.path, access: .read))
    #expect(image.isComplete && image.problems == [] && image.description == nil)
    #expect(image.sections.first { $0.type == .full }?.body.byteCount == 20)
    #expect(try restoreToMemory(device.path) == guest.blocks.indices.map(guest.contents))
  }

  /// Direct I/O is a matter of the device, not of the file system of its node, which is one in memory.
  @Test func devicesAreReadAndWrittenDirectly() throws {
    let directory = try TemporaryDirectory()
    let device = try Self.device(directory.file("disk"), byteCount: 1 << 20, filledWith: 0)
    let file = try File.open(device.path, access: .readWrite, directIO: .auto)
    guard case .active = file.directIO else {
      Issue.record("\(file.directIO)")
      return
    }
  }

  /// A device of `byteCount` bytes, each of them `byte`, over the file `disk`.
  private static func device(
    _ disk: FilePath, byteCount: Int, filledWith byte: UInt8
  ) throws -> LoopDevice {
    let pending = try PendingFile.create(at: disk)
    try pending.file.write([UInt8](repeating: byte, count: byteCount), at: 0)
    try pending.commit()
    return try LoopDevice(disk)
  }

  /// The end of RAM, a device whose body is a hole, EOF, and nothing behind it.
  private static func sparseState() throws -> File {
    var output = ByteOutput()
    StreamElement.end(id: 1).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    SectionFooter(id: 1).encode(into: &output)
    let identity = SectionIdentity(idstr: "ram2", instanceID: 0, version: 1)
    StreamElement.full(id: 7, identity).encode(into: &output)
    let state = try File.inMemory(name: "vmstate", byteCount: 1 << 20)
    try state.write(output.bytes, at: 0)
    var end = ByteOutput()
    SectionFooter(id: 7).encode(into: &end)
    StreamElement.endOfStream.encode(into: &end)
    try state.write(end.bytes, at: (1 << 20) - 6)
    return state
  }
}
