import LinuxIO
import MappedRAMFormat
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Devices' states beside RAM: every byte, in order, within bounds.
@Suite struct DeviceTransferTests {
  @Test func eightDevicesComeBackInOrder() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    let report = try harness.save(devices)
    #expect(report.devices.map(\.buffers) == Array(repeating: 20, count: 8))
    #expect(
      report.devices.map(\.byteCount)
        == devices.map { UInt64($0.state.reduce(0) { $0 + $1.count }) }
    )
    let targets = devices.map { _ in TestDevice([]) }
    try harness.load(targets)
    for (device, target) in zip(devices, targets) {
      #expect(target.loaded.map(\.1) == device.state)
      #expect(target.loaded.map(\.0.number) == (0..<20).map { UInt32($0) })
      #expect(target.loaded.map(\.0.isLast) == (0..<20).map { $0 == 19 })
    }
    #expect(
      try restoreToMemory(harness.image) == harness.guest.blocks.indices.map(harness.guest.contents)
    )
  }

  /// Requests that are short, late and in any order change nothing.
  @Test func shortTransfersKeepEveryByte() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    let faults = Faults { _, _, generator in
      Int.random(in: 0..<3, using: &generator) == 0 ? .short : .none
    }
    try harness.save(devices, factory: FaultyFactory(faults: faults))
    let targets = devices.map { _ in TestDevice([]) }
    try harness.load(targets, factory: FaultyFactory(faults: faults))
    #expect(targets.map { $0.loaded.map(\.1) } == devices.map(\.state))
  }

  /// Numbers in any order are put in order; the configuration is marked.
  @Test func numbersMayComeInAnyOrder() throws {
    var harness = try DeviceHarness()
    let order: [UInt32] = [4, 0, 3, 1, 2]
    let buffers = order.map {
      TestDevice.Buffer(
        bytes: harness.generator.bytes(100 + Int($0)), number: $0, isConfiguration: $0 == 4)
    }
    try harness.save([TestDevice(buffers)])
    let target = TestDevice([])
    try harness.load([target])
    #expect(target.loaded.map(\.1.count) == [100, 101, 102, 103, 104])
    #expect(target.loaded.map(\.0.isConfiguration) == [false, false, false, false, true])
  }

  /// No buffer, an empty one, a full one and one byte less or more than a page.
  @Test(arguments: [[], [0], [8192], [1], [4095, 4096, 4097], [0, 0, 5]])
  func edgesOfSizes(_ sizes: [Int]) throws {
    var harness = try DeviceHarness()
    let device = TestDevice(sizes: sizes, using: &harness.generator)
    try harness.save([device])
    let target = TestDevice([])
    try harness.load([target])
    // A device without state has one empty buffer.
    #expect(target.loaded.map(\.1) == (sizes.isEmpty ? [[]] : device.state))
  }

  /// The file ends with the area; in place and with other limits, the same.
  @Test func theFileEndsWithTheArea() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    try harness.save(devices)
    try harness.save(devices, inPlace: true)
    let file = try File.open(harness.image, access: .read)
    let image = try Image(reading: file)
    #expect(image.problems.isEmpty && image.remarks == [.noDescription])
    let area = try #require(image.deviceArea)
    #expect(try area.end.rawValue + UInt64(AreaLine.byteCount) == file.size())
    #expect(area.start == image.tail?.upperBound)
    #expect(area.devices.flatMap(\.buffers).allSatisfy { $0.offset.isAligned(to: 4096) })
    // A restore tells the size of the whole file, as a look at it does.
    let restored = try ImageRestore(file).run { _ in nil }.image
    #expect(restored.fileSize == image.fileSize)
    #expect(try image.fileSize.rawValue == file.size())
    // A save without devices over it leaves none.
    _ = try ImageSave(try harness.guest.plan()).run(to: harness.image, inPlace: true)
    #expect(try Image(reading: file).deviceArea == nil)
  }

  /// On a device the area is found behind the stream, and an old one is not taken for new.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  func worksOnABlockDevice() throws {
    let harness = try DeviceHarness()
    let backing = harness.directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", "8M", backing.string])
    let loop = try LoopDevice(backing)
    var generator = SeededGenerator()
    let device = TestDevice(sizes: [5000, 8192], using: &generator)
    _ = try ImageSave(try harness.plan([device])).run(to: loop.path)
    let file = try File.open(loop.path, access: .read)
    #expect(try Image(reading: file).deviceArea?.byteCount == 13192)
    _ = try ImageSave(try harness.guest.plan()).run(to: loop.path)
    #expect(try Image(reading: file).deviceArea == nil)
    #expect(try Image(reading: file).problems.isEmpty)
  }

  /// Whoever wants to be last is loaded once all RAM and all others are in.
  @Test func loadsLastMeansAfterAllOthers() throws {
    var harness = try DeviceHarness()
    let devices = harness.eightDevices()
    try harness.save(devices)
    let others = (0..<7).map { _ in TestDevice([]) }
    let seen = Monitor<[Int]>([])
    let last = TestDevice(
      [], loadsLast: true,
      onBuffer: { _ in seen.withLock { $0.append(others.reduce(0) { $0 + $1.loaded.count }) } })
    try harness.load(others + [last])
    #expect(last.loaded.map(\.1) == devices[7].state)
    #expect(seen.withLock { Set($0) } == [140])
  }

  /// With one device that stands still until all others are done, no more buffers are out than the limits allow.
  @Test func aSlowDeviceHoldsNobodyUpAndNoMoreThanItsShare() throws {
    var harness = try DeviceHarness()
    let fast = harness.eightDevices().dropLast()
    let left = Monitor(7)
    let slow = TestDevice(
      (0..<20).map { _ in TestDevice.Buffer(bytes: [1, 2, 3]) },
      onBuffer: { index in if index == 1 { left.wait { $0 == 0 ? () : nil } } })
    let counted = fast.map { device in
      TestDevice(
        device.buffers,
        onBuffer: { index in if index == 20 { left.withLock { $0 -= 1 } } })
    }
    let report = try harness.save(counted + [slow])
    #expect(report.devices.allSatisfy { (1...3).contains($0.peakBuffers) })
    left.withLock { $0 = 7 }
    let targets = counted.map { _ in
      TestDevice([], onBuffer: { index in if index == 20 { left.withLock { $0 -= 1 } } })
    }
    let slowTarget = TestDevice(
      [], onBuffer: { index in if index == 1 { left.wait { $0 == 0 ? () : nil } } })
    let outcome = try harness.load(targets + [slowTarget])
    #expect(targets.map { $0.loaded.map(\.1) } == fast.map(\.state))
    #expect(slowTarget.loaded.count == 20)
    #expect(outcome.report.devices.allSatisfy { (1...3).contains($0.peakBuffers) })
  }

  /// More devices than buffers: each gets its first one all the same.
  @Test func moreDevicesThanBuffers() throws {
    var harness = try DeviceHarness()
    harness.limits = DeviceLimits(bufferBytes: 4096, buffersPerDevice: 2, buffers: 1)
    let devices = (0..<30).map { _ in
      TestDevice(sizes: [10, 4096, 3, 0, 1], using: &harness.generator)
    }
    try harness.save(devices)
    let targets = devices.map { _ in TestDevice([]) }
    try harness.load(targets)
    #expect(targets.map { $0.loaded.map(\.1) } == devices.map(\.state))
  }

  @Test func refusesNamesTwiceAndNamesThatCannotBe() throws {
    let plan = try DeviceHarness().guest.plan()
    let device = TestDevice([])
    #expect(throws: ImageError.plan(.deviceTwice(DeviceIdentity("a", instanceID: 1)))) {
      try plan.with(
        devices: [
          DeviceSource(DeviceIdentity("a", instanceID: 1), from: device),
          DeviceSource(DeviceIdentity("a"), from: device),
          DeviceSource(DeviceIdentity("a", instanceID: 1), from: device),
        ])
    }
    for name in ["", "a\n", String(repeating: "x", count: 256)] {
      #expect(throws: ImageError.plan(.deviceName(name))) {
        try plan.with(devices: [DeviceSource(DeviceIdentity(name), from: device)])
      }
    }
    #expect(throws: ImageError.plan(.tooManyDevices(found: 1025, limit: 1024))) {
      try plan.with(
        devices: (0..<1025).map {
          DeviceSource(DeviceIdentity("a", instanceID: $0), from: device)
        })
    }
  }
}
