import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// What an image says that its VM was doing.
@Suite struct RunStateTests {
  private func open(
    _ fixture: Fixture, in directory: TemporaryDirectory
  ) throws -> (image: Image, file: File) {
    let file = try File.open(
      fixture.unpack(into: directory), access: .readWrite, directIO: .off)
    let offset =
      fixture.expected.libvirt == nil ? FileOffset(fixture.expected.streamOffset) : nil
    return (try Image(reading: file, streamOffset: offset), file)
  }

  @Test(
    arguments: [
      ("q35", "paused"), ("live", "running"), ("libvirt", "paused"), ("offset", "paused"),
      ("arm-virt", "prelaunch"), ("s390x", "prelaunch"), ("alpha", "prelaunch"),
      ("no-vmdesc", "paused"),
    ])
  func isReadFromTheImage(_ name: String, _ state: String) throws {
    let directory = try TemporaryDirectory()
    let (image, file) = try open(Fixture(name), in: directory)
    #expect(try image.runState(in: file) == RunState(rawValue: state))
  }

  /// All but the 36 bytes stays as it is, and setting the old state gives the old image.
  @Test(arguments: ["q35", "live", "libvirt", "s390x"])
  func isSetInPlace(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let fixture = try Fixture(name)
    let (image, file) = try open(fixture, in: directory)
    let before = try #require(try image.runState(in: file))
    for state in [RunState.suspended, .running, .paused] {
      #expect(try image.setRunState(state, in: file))
      #expect(try image.runState(in: file) == state)
      let again = try Image(reading: file, streamOffset: image.streamOffset)
      #expect(again.sections == image.sections && again.problems.isEmpty)
      #expect(try sha256(file.path) != fixture.expected.sha256 || state == before)
    }
    #expect(try image.setRunState(before, in: file))
    #expect(try sha256(file.path) == fixture.expected.sha256)
  }

  /// An image of a guest without such a section has no state, and none is put anywhere.
  @Test func isNilWithoutASection() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let path = directory.file("image")
    _ = try ImageSave(TestGuest(pages: [3], using: &generator).plan()).run(to: path)
    let before = try sha256(path)
    let file = try File.open(path, access: .readWrite)
    let image = try Image(reading: file)
    #expect(try image.runState(in: file) == nil)
    #expect(try image.setRunState(.running, in: file) == false)
    #expect(try sha256(path) == before)
  }
}
