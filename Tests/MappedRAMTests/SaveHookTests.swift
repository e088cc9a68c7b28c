import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What a save calls on its way, and what is left where that fails.
@Suite struct SaveHookTests {
  let directory: TemporaryDirectory
  let guest: TestGuest
  let path: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    guest = try TestGuest(pages: [300, 40], using: &generator)
    path = directory.file("image")
  }

  /// How the image is written.
  enum Way: CaseIterable {
    case new, inPlace, intoFile
  }

  private func run(
    _ way: Way, tail: [UInt8] = TestGuest.tail, pagesAreRead: ImageSave.Hook = {},
    beforeCommit: ImageSave.Hook = {}
  ) throws {
    let save = ImageSave(try guest.plan(tail: tail))
    switch way {
    case .new, .inPlace:
      if way == .inPlace { try Subprocess.succeed(["touch", path.string]) }
      _ = try save.run(
        to: path, inPlace: way == .inPlace, pagesAreRead: pagesAreRead, beforeCommit: beforeCommit)
    case .intoFile:
      try Subprocess.succeed(["touch", path.string])
      _ = try save.run(
        into: File.open(path, access: .readWrite), pagesAreRead: pagesAreRead,
        beforeCommit: beforeCommit)
    }
  }

  /// The guest goes on as soon as it may and changes all of its memory: the image has what it was before.
  @Test(arguments: Way.allCases)
  func memoryMayChangeOncePagesAreRead(_ way: Way) throws {
    let before = guest.blocks.indices.map(guest.contents)
    try run(way) {
      for (_, pages) in guest.blocks {
        pages.put([UInt8](repeating: 0xA5, count: Int(pages.byteCount)), at: 0)
      }
    }
    #expect(try restoreToMemory(path) == before)
    #expect(guest.blocks.indices.map(guest.contents) != before)
  }

  @Test(arguments: Way.allCases)
  func eachIsCalledOnceAndInOrder(_ way: Way) throws {
    var calls: [String] = []
    try run(way, pagesAreRead: { calls.append("read") }, beforeCommit: { calls.append("commit") })
    #expect(calls == ["read", "commit"])
  }

  /// Before the commit the image is not there under its name; in place it lacks its first eight bytes and nothing else.
  @Test(arguments: Way.allCases)
  func theImageIsNotThereBeforeTheCommit(_ way: Way) throws {
    var found: [UInt8]?
    var bytes: [UInt8] = []
    try run(
      way,
      beforeCommit: {
        guard let file = try? File.open(path, access: .read, directIO: .off) else { return }
        bytes = (try? file.readBytes(at: 0, count: 8 << 20)) ?? []
        found = Array(bytes.prefix(8))
      })
    #expect(found == (way == .new ? nil : [UInt8](repeating: 0, count: 8)))
    let after = try File.open(path, access: .read, directIO: .off).readBytes(at: 0, count: 8 << 20)
    #expect(way == .new || bytes.dropFirst(8) == after.dropFirst(8))
  }

  @Test(arguments: [true, false])
  func aHookThatFailsLeavesNothing(_ isFirst: Bool) throws {
    let fails: ImageSave.Hook = { () throws(ImageError) in throw .cancelled }
    #expect(throws: ImageError.cancelled) {
      try isFirst ? run(.new, pagesAreRead: fails) : run(.new, beforeCommit: fails)
    }
    #expect(try Subprocess.succeed(["ls", "-A", directory.path.string]).text == "")
  }

  @Test(arguments: [true, false], [Way.inPlace, .intoFile])
  func aHookThatFailsInPlaceLeavesNoImage(_ isFirst: Bool, _ way: Way) throws {
    try run(way)
    let fails: ImageSave.Hook = { () throws(ImageError) in throw .cancelled }
    #expect(throws: ImageError.cancelled) {
      try isFirst ? run(way, pagesAreRead: fails) : run(way, beforeCommit: fails)
    }
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.problems.map(\.context) == [.streamHeader])
  }

  /// Whoever ends the VM in the hook must not lose it: an image that no reader would take is found before.
  @Test(arguments: Way.allCases)
  func anImageThatIsNotRightIsFoundBeforeTheHook(_ way: Way) throws {
    var calls = 0
    let broken = TestGuest.tail + [6, 0, 0, 0, 5] + Array("{\"x\"]".utf8)
    #expect {
      try run(way, tail: broken, beforeCommit: { calls += 1 })
    } throws: { error in
      if case .plan(.writtenImage(path, _))? = error as? ImageError { true } else { false }
    }
    #expect(calls == 0)
    if way == .new {
      #expect(try names(in: directory) == [])
    } else {
      let file = try File.open(path, access: .read, directIO: .off)
      #expect(try file.readBytes(at: 0, count: 8) == [UInt8](repeating: 0, count: 8))
    }
  }

  /// Channels that fail never say that the pages were read.
  @Test func aFailedReadCallsNoHook() throws {
    var save = ImageSave(try guest.plan())
    save.factory = FaultyFactory(faults: Faults { _, _, _ in .error(.ioError) })
    var calls = 0
    #expect(throws: ImageError.self) {
      try save.run(to: path, pagesAreRead: { calls += 1 }, beforeCommit: { calls += 1 })
    }
    #expect(calls == 0)
  }
}
