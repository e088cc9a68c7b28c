import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images made of the memory in a shared file and of device state that a stock QEMU wrote.
  @Suite struct DeviceStateTests {
    private static let shared = VMKind("shared memory") {
      $0.setMemory(.file("main", isShared: true), id: "pc.ram")
      $0.addVGA()
    }
    private static let destination = VMKind("private memory") { $0.addVGA() }

    /// `migrate` with x-ignore-shared: QEMU's own description, and the pages of the small blocks.
    @Test func imageOfAStreamThatIgnoresSharedMemoryRunsOn() throws {
      let directory = try TemporaryDirectory()
      let (source, stream) = try migrated(in: directory)
      #expect(stream.configuration?.capabilities == ["x-ignore-shared"])
      #expect(stream.hasSwitchoverStart)
      let main = try #require(stream.blocks.first { $0.idstr == "pc.ram" })
      #expect(main.contents == nil && main.address == 0)
      #expect(stream.blocks.contains { $0.contents != nil })
      let image = directory.file("captured.img")
      for state in [nil, RunState.running] {
        try save(stream, in: directory, runState: state, to: image)
        let file = try File.open(image, access: .read)
        let read = try Image(reading: file)
        #expect(try read.runState(in: file) == state ?? .paused)
        #expect(read.prologue?.configuration.capabilities == ["mapped-ram"])
        let described = try #require(read.description)
        #expect(described.devices == stream.description?.devices)
        for load in LoadOptions.allCases {
          try expectRestored(image, as: Self.destination, from: source, load)
        }
      }
    }

    /// A VM whose image says that it ran goes on by itself; another waits.
    @Test(arguments: [(RunState.running, "running"), (.paused, "paused")])
    func theRunStateDecidesWhetherItGoesOn(_ state: RunState, _ status: String) throws {
      let directory = try TemporaryDirectory()
      let (_, stream) = try migrated(in: directory)
      let image = directory.file("captured.img")
      try save(stream, in: directory, runState: state, to: image)
      let configuration = Self.destination.configuration(in: directory).destination
      let target = try QEMU(configuration)
      try target.load(from: image)
      try target.wait(for: "the state \(status)") { try target.status() == status }
      #expect(target.log == "")
    }

    /// `xen-save-devices-state`: no description, and the state of a VM that was stopped is called running.
    @Test func deviceStateAloneMakesATail() throws {
      let directory = try TemporaryDirectory()
      let (source, migrated) = try migrated(in: directory)
      let path = directory.file("devices")
      try source.execute("cont")
      try source.stop()
      try source.execute("xen-save-devices-state", ["filename": path.string, "live": false])
      let stream = try DeviceStateStream(reading: File.open(path, access: .read))
      #expect(stream.configuration == nil && stream.description == nil && stream.blocks.isEmpty)
      let identities = stream.devices.map(\.identity)
      #expect(identities == migrated.devices.map(\.identity))
      #expect(stream.devices.map(\.body.byteCount) == migrated.devices.map(\.body.byteCount))
      let type = try #require(migrated.configuration?.machineType)
      let image = directory.file("captured.img")
      for state in [nil, RunState.paused] {
        let prologue = stream.prologue(.mappedRAM(machineType: type))
        let plan = try SavePlan(
          prologue: prologue, blocks: blocks(of: migrated, in: directory),
          tail: stream.tail(
            after: prologue, pageSize: .fourKiB, switchoverStart: true, runState: state),
          for: image)
        _ = try ImageSave(plan).run(to: image)
        let file = try File.open(image, access: .read)
        #expect(try Image(reading: file).runState(in: file) == state ?? .running)
        for load in LoadOptions.allCases {
          try expectRestored(image, as: Self.destination, from: source, load)
        }
      }
    }

    /// A VM that was stopped, and the stream that its migration wrote.
    private func migrated(
      in directory: TemporaryDirectory
    ) throws -> (source: QEMU, stream: DeviceStateStream) {
      let source = try QEMU(Self.shared.configuration(in: directory))
      try source.waitForGuestLines(3)
      var how = QEMU.FileMigration()
      how.isMapped = false
      how.capabilities = ["x-ignore-shared"]
      let path = directory.file("stream")
      try source.save(to: path, how)
      let file = try File.open(path, access: .read)
      return (source, try DeviceStateStream(reading: file))
    }

    private func blocks(
      of stream: DeviceStateStream, in directory: TemporaryDirectory
    ) throws -> [SavePlan.Block] {
      try stream.blocks.map { block in
        let pages =
          block.idstr == "pc.ram"
          ? try FilePages(reading: directory.file("main")) : block.contents
        return SavePlan.Block(block.block, pages: pages)
      }
    }

    private func save(
      _ stream: DeviceStateStream, in directory: TemporaryDirectory, runState: RunState?,
      to path: FilePath
    ) throws {
      let prologue = stream.prologue()
      let plan = try SavePlan(
        prologue: prologue, blocks: blocks(of: stream, in: directory),
        tail: stream.tail(
          after: prologue, pageSize: .fourKiB, switchoverStart: stream.hasSwitchoverStart,
          runState: runState),
        for: path)
      _ = try ImageSave(plan).run(to: path)
    }
  }
}
