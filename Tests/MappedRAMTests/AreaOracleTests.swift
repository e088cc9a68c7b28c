import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What stands behind the stream, as the independent reader finds it, which takes every sum anew of what is in the image.
@Suite struct AreaOracleTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func expectSame(_ path: FilePath, _ expected: FixtureExpectation) throws {
    let image = try Image(at: path)
    let areas = try #require(expected.areas)
    #expect(image.problems == [])
    #expect(image.areas.headers.map(\.kind.name) == areas.list.map(\.kind))
    #expect(image.areas.headers.map(\.version) == areas.list.map(\.version))
    #expect(image.areas.headers.map(\.isNeeded) == areas.list.map(\.needed))
    #expect(image.areas.headers.map(\.range.lowerBound.rawValue) == areas.list.map(\.offset))
    #expect(image.areas.headers.map(\.range.byteCount.rawValue) == areas.list.map(\.length))
    #expect(image.areas.headers.map(\.table.lowerBound.rawValue) == areas.list.map(\.tableOffset))
    #expect(areas.closingOffset == image.areas.headers.last?.range.upperBound.rawValue)
    let devices = image.deviceArea?.devices ?? []
    #expect(devices.map(\.identity.idstr) == areas.devices?.map(\.idstr))
    #expect(devices.map(\.identity.instanceID) == areas.devices?.map(\.instance))
    #expect(devices.map(\.buffers.count) == areas.devices?.map(\.buffers))
    let outcome = try ImageVerification(at: path).run()
    #expect(outcome.damage == [])
    #expect(
      outcome.root.map { "\(SumsArea.algorithmName):\($0)" } == areas.root, "\(outcome.damage)")
  }

  @Test func theFixtureHasThem() throws {
    let fixture = try Fixture("areas")
    let path = try fixture.unpack(into: directory)
    try expectSame(path, fixture.expected)
    #expect(fixture.expected.areas?.list.map(\.kind) == ["DEVS", "SUMS"])
  }

  /// Blocks of any size, page sizes, layouts, with and without a description, devices, bytes before the stream.
  @Test(.enabled(if: ImageDecoderOracle.isAvailable, "needs python3"))
  func bothReadersFindTheSame() throws {
    var generator = SeededGenerator()
    for number in 0..<8 {
      let size = try #require(PageSize(byteCount: [4096, 1024, 8192, 65536][number % 4]))
      let counts = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
        Int.random(in: 1...(size.byteCount > 8192 ? 20 : 200), using: &generator)
      }
      let guest = try TestGuest(
        pages: counts, pageSize: size, zeroFraction: Double(number) / 8, using: &generator)
      var plan = try guest.plan(
        tail: size == .fourKiB && number < 4 ? TestGuest.describedTail() : TestGuest.tail,
        slots: number % 3 == 0 ? .hugePages : .qemu, keepsHoles: number % 2 == 0)
      if number % 2 == 1 {
        let buffers = (0..<3).map { _ in
          TestDevice.Buffer(
            bytes: generator.bytes(Int.random(in: 0..<9000, using: &generator)),
            isConfiguration: Bool.random(using: &generator))
        }
        plan = try plan.with(devices: [
          DeviceSource(DeviceIdentity("gpu", instanceID: 3), from: TestDevice(buffers))
        ])
      }
      var save = ImageSave(plan)
      save.hasChecksums = true
      let path = directory.file("image \(number)")
      _ = try save.run(to: path)
      try expectSame(path, try ImageDecoderOracle.read(path))
    }
  }

  /// What the one finds damaged the other does too.
  @Test(.enabled(if: ImageDecoderOracle.isAvailable, "needs python3"))
  func bothReadersFindDamage() throws {
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [40, 20], zeroFraction: 0.5, using: &generator)
    let device = TestDevice([.init(bytes: generator.bytes(500))])
    var save = ImageSave(
      try guest.plan(tail: TestGuest.describedTail()).with(devices: [
        DeviceSource(DeviceIdentity("gpu"), from: device)
      ]))
    save.hasChecksums = true
    let path = directory.file("image")
    _ = try save.run(to: path)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let tail = try #require(try Image(at: path).tail?.lowerBound.rawValue)
    for number in 0..<24 {
      let range = number % 2 == 0 ? 0..<(try file.size()) : tail..<(try file.size())
      let offset = UInt64.random(in: range, using: &generator)
      let byte = try file.readBytes(at: offset, count: 1)[0]
      try file.write([byte ^ 8], at: offset)
      let isWhole = try ImageVerification(at: path).run().isWhole
      let isRefused = (try? ImageDecoderOracle.read(path)) == nil
      #expect(isWhole == !isRefused, "byte \(offset)")
      try file.write([byte], at: offset)
    }
  }
}
