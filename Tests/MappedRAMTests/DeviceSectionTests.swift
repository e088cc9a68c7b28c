import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// States of devices that become ordinary sections of the stream.
@Suite struct DeviceSectionTests {
  private func save(_ devices: [DeviceSource], to name: String, in harness: DeviceHarness) throws
    -> Image
  {
    var plan = try harness.guest.plan().with(devices: devices)
    plan.deviceLimits = .small
    let path = harness.directory.file(name)
    _ = try ImageSave(plan).run(to: path)
    let image = try Image(reading: File.open(path, access: .read))
    #expect(image.problems.isEmpty)
    return image
  }

  private func body(_ section: ImageSection, of image: Image) throws -> [UInt8] {
    try File.open(image.path, access: .read).readBytes(
      at: section.body.lowerBound.rawValue, count: Int(section.body.byteCount.rawValue))
  }

  /// One in the stream, one behind it: each byte is where it belongs, and the stream goes on behind the section.
  @Test func aSectionStandsInTheStream() throws {
    var harness = try DeviceHarness()
    let device = TestDevice(
      (0..<9).map { _ in TestDevice.Buffer(bytes: harness.generator.bytes(8191)) },
      announces: 9 * 8191)
    let other = TestDevice(sizes: [100, 4096], using: &harness.generator)
    let image = try save(
      [
        DeviceSource(
          DeviceIdentity("gpu", instanceID: 2), from: device, placement: .section(version: 7)),
        DeviceSource(DeviceIdentity("nic"), from: other),
      ], to: "image", in: harness)
    let section = try #require(image.sections.first { $0.type == .full })
    #expect(section.identity == SectionIdentity(idstr: "gpu", instanceID: 2, version: 7))
    #expect(try body(section, of: image) == device.state.flatMap { $0 })
    #expect(image.sections.last?.type == .endOfStream)
    #expect(image.deviceArea?.devices.map(\.identity) == [DeviceIdentity("nic")])
    #expect(
      try restoreToMemory(image.path) == harness.guest.blocks.indices.map(harness.guest.contents))
  }

  /// An image of sections alone has no area and is taken apart like any other.
  @Test func sectionsAloneLeaveNoArea() throws {
    var harness = try DeviceHarness()
    let bytes = harness.generator.bytes(5000)
    let device = TestDevice([TestDevice.Buffer(bytes: bytes)], announces: 5000)
    let image = try save(
      [DeviceSource(DeviceIdentity("gpu"), from: device, placement: .section(version: 1))],
      to: "image", in: harness)
    #expect(image.deviceArea == nil && image.fileSize == image.tail?.upperBound)
    let apart = harness.directory.file("apart")
    _ = try DirectoryRestore(
      ImageRestore(try File.open(image.path, access: .read)), to: apart
    ).run()
    // A section that is there is replaced; the same one gives the same image.
    let plan = try SavePlan.ofDirectory(apart).with(
      devices: [DeviceSource(DeviceIdentity("gpu"), from: device, placement: .section(version: 1))])
    let copy = harness.directory.file("copy")
    _ = try ImageSave(plan).run(to: copy)
    let second = try Image(reading: File.open(copy, access: .read))
    #expect(second.sections.count { $0.type == .full } == 1)
    #expect(second.fileSize == image.fileSize)
    // Without devices it is what it was before.
    #expect(try plan.with(devices: []).end.rawValue == image.fileSize.rawValue)
  }

  @Test func refusesWhatCannotBeASection() throws {
    let harness = try DeviceHarness()
    let plan = try harness.guest.plan()
    #expect(throws: ImageError.plan(.sectionWithoutSize(DeviceIdentity("gpu")))) {
      try plan.with(
        devices: [
          DeviceSource(DeviceIdentity("gpu"), from: TestDevice([]), placement: .section(version: 1))
        ])
    }
    #expect(throws: ImageError.plan(.sectionTaken(DeviceIdentity("ram")))) {
      try plan.with(
        devices: [
          DeviceSource(
            DeviceIdentity("ram"), from: TestDevice([], announces: 0),
            placement: .section(version: 1))
        ])
    }
  }

  /// Buffers of a section have no places of their own, so they come in order, and all.
  @Test func orderAndSizeAreHeld() throws {
    let harness = try DeviceHarness()
    let late = TestDevice([TestDevice.Buffer(bytes: [1], number: 1)], announces: 1)
    #expect(throws: ImageError.device(DeviceIdentity("gpu"), .sequence(.numberMissing(0)))) {
      try save(
        [DeviceSource(DeviceIdentity("gpu"), from: late, placement: .section(version: 1))],
        to: "image", in: harness)
    }
    let short = TestDevice([TestDevice.Buffer(bytes: [1])], announces: 2)
    #expect(
      throws: ImageError.device(DeviceIdentity("gpu"), .endedEarly(found: 1, expected: 2))
    ) {
      try save(
        [DeviceSource(DeviceIdentity("gpu"), from: short, placement: .section(version: 1))],
        to: "image", in: harness)
    }
  }
}
