import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Images of device state that somebody has as a file.
@Suite struct PlanFromFilesTests {
  private func plan(
    of fixture: OpenFixture, vmstate: [UInt8]
  ) throws -> (plan: SavePlan, path: FilePath) {
    let path = fixture.directory.file("vmstate")
    let ram = fixture.directory.file("ram")
    try Subprocess.succeed(["touch", path.string])
    try Subprocess.succeed(["truncate", "-s", "1M", ram.string])
    try File.open(path, access: .readWrite, directIO: .off).write(vmstate, at: 0)
    let save = PlanFromFiles(
      machineType: "pc-i440fx-10.0", blocks: [("pc.ram", ram)], vmstate: path)
    return (try save.plan(), fixture.directory.file("made.img"))
  }

  private func tail(of fixture: OpenFixture) throws -> [UInt8] {
    let place = try #require(fixture.image.tail)
    return try fixture.file.readBytes(
      at: place.lowerBound.rawValue, count: Int(place.byteCount.rawValue))
  }

  /// What has no description gets one with every section and its length; what follows the EOF byte is left out.
  @Test(arguments: [0, 1, 100])
  func stateWithoutADescriptionGetsOne(_ extra: Int) throws {
    let fixture = try OpenFixture("no-vmdesc")
    let vmstate = try tail(of: fixture) + [UInt8](repeating: 0, count: extra)
    let (plan, path) = try plan(of: fixture, vmstate: vmstate)
    _ = try ImageSave(plan).run(to: path)
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.isComplete && image.remarks == [])
    let sections = image.sections.filter { $0.type == .full }
    let devices = try #require(image.description?.devices)
    #expect(sections.count == fixture.image.sections.count { $0.type == .full })
    #expect(devices.map(\.name) == sections.map(\.identity?.idstr))
    #expect(
      try devices.map { try DeviceDescription.bodyLength(of: $0) } == sections.map(\.body.byteCount)
    )
    #expect(
      image.description?.configuration?.subsections.map(\.name) == ["configuration/capabilities"])
  }

  /// QEMU's own description stays, to the byte.
  @Test func aDescriptionStays() throws {
    let fixture = try OpenFixture("live")
    let (plan, path) = try plan(of: fixture, vmstate: tail(of: fixture))
    _ = try ImageSave(plan).run(to: path)
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.description == fixture.image.description)
    #expect(image.sections.map(\.type) == fixture.image.sections.map(\.type))
  }

  @Test func whatIsNoDeviceStateIsRefused() throws {
    let fixture = try OpenFixture("live")
    let path = fixture.directory.file("vmstate")
    #expect(
      throws: ImageError.format(
        FormatError(.unknownSectionType(0x55), at: 0, in: .sectionHeader), in: path)
    ) { try plan(of: fixture, vmstate: [0x55, 0]) }
  }
}
