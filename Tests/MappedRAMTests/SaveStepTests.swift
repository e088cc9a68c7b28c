import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// The steps of a save, and what is left where it ends between two of them.
@Suite struct SaveStepTests {
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

  private func begin(
    _ way: Way, tail: [UInt8] = TestGuest.tail, cancellation: Cancellation = Cancellation()
  ) throws -> OngoingSave {
    let save = ImageSave(try guest.plan(tail: tail))
    if way != .new { try Subprocess.succeed(["touch", path.string]) }
    return way == .intoFile
      ? try save.begin(into: File.open(path, access: .readWrite), cancellation: cancellation)
      : try save.begin(to: path, inPlace: way == .inPlace, cancellation: cancellation)
  }

  /// The guest is resumed as soon as it may be, and changes all of its memory: the image has what it was before.
  @Test(arguments: Way.allCases)
  func memoryMayChangeOncePagesAreRead(_ way: Way) throws {
    let before = guest.blocks.indices.map(guest.contents)
    let written = try begin(way).writePages()
    for (_, pages) in guest.blocks {
      pages.put([UInt8](repeating: 0xA5, count: Int(pages.byteCount)), at: 0)
    }
    _ = try written.finish()
    #expect(try restoreToMemory(path) == before)
    #expect(guest.blocks.indices.map(guest.contents) != before)
  }

  /// Before the commit the image is not there under its name; in place it lacks its first eight bytes and nothing else.
  @Test(arguments: Way.allCases)
  func theImageIsNotThereBeforeTheCommit(_ way: Way) throws {
    var found: [UInt8]?
    var bytes: [UInt8] = []
    var calls = 0
    _ = try begin(way).writePages().finish {
      calls += 1
      guard let file = try? File.open(path, access: .read, directIO: .off) else { return }
      bytes = (try? file.readBytes(at: 0, count: 8 << 20)) ?? []
      found = Array(bytes.prefix(8))
    }
    #expect(calls == 1)
    #expect(found == (way == .new ? nil : [UInt8](repeating: 0, count: 8)))
    let after = try File.open(path, access: .read, directIO: .off).readBytes(at: 0, count: 8 << 20)
    #expect(way == .new || bytes.dropFirst(8) == after.dropFirst(8))
  }

  @Test(arguments: [true, false])
  func oneThatIsDroppedLeavesNothing(_ hasPages: Bool) throws {
    do {
      let save = try begin(.new)
      if hasPages { _ = try save.writePages() }
    }
    #expect(try Subprocess.succeed(["ls", "-A", directory.path.string]).text == "")
  }

  @Test(arguments: [true, false], [Way.inPlace, .intoFile])
  func oneThatIsDroppedInPlaceLeavesNoImage(_ hasPages: Bool, _ way: Way) throws {
    _ = try begin(way).writePages().finish()
    do {
      let save = try begin(way)
      if hasPages { _ = try save.writePages() }
    }
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.problems.map(\.context) == [.streamHeader])
  }

  /// Cancelled once the pages are there, when a VM runs again: there is no image, and nobody was told that there would be.
  @Test(arguments: Way.allCases)
  func oneThatIsCancelledBetweenLeavesNoImage(_ way: Way) throws {
    let cancellation = Cancellation()
    let written = try begin(way, cancellation: cancellation).writePages()
    cancellation.cancel()
    var calls = 0
    do {
      _ = try written.finish { calls += 1 }
      Issue.record("it was not cancelled")
    } catch {
      #expect(error == .cancelled)
    }
    #expect(calls == 0)
    if way == .new {
      #expect(try names(in: directory) == [])
    } else {
      let file = try File.open(path, access: .read, directIO: .off)
      #expect(try file.readBytes(at: 0, count: 8) == [UInt8](repeating: 0, count: 8))
    }
  }

  /// The report says how long the file is, also where gaps that were filled made its description longer.
  @Test(arguments: Way.allCases)
  func theReportHasTheEnd(_ way: Way) throws {
    let report = try begin(way).writePages().finish()
    #expect(try File.open(path, access: .read).size() == report.imageEnd.rawValue)
  }

  /// Whoever ends the VM right before the commit must not lose it: an image that no reader would take is found before.
  @Test(arguments: Way.allCases)
  func anImageThatIsNotRightIsFoundBeforeTheCommit(_ way: Way) throws {
    var calls = 0
    let broken = TestGuest.tail + [6, 0, 0, 0, 5] + Array("{\"x\"]".utf8)
    #expect {
      _ = try begin(way, tail: broken).writePages().finish { calls += 1 }
    } throws: { error in
      if case .save(.unreadable(path, _))? = error as? ImageError { true } else { false }
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
  @Test func aFailedReadIsNotWritten() throws {
    var save = ImageSave(try guest.plan())
    save.factory = FaultyFactory(faults: Faults { _, _, _ in .error(.ioError) })
    var isWritten = false
    #expect(throws: ImageError.self) {
      _ = try save.begin(to: path).writePages()
      isWritten = true
    }
    #expect(!isWritten)
  }
}
