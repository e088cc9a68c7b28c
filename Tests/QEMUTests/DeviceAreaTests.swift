import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// States of devices behind the stream, which QEMU knows nothing of.
  @Suite struct DeviceAreaTests {
    static let devices = [DeviceIdentity("gpu0"), DeviceIdentity("nic", instanceID: 3)]

    /// Two devices whose states are in files of `directory`, and the same from commands.
    private func sources(in directory: TemporaryDirectory) throws -> [DeviceSource] {
      var generator = SeededGenerator()
      return try Self.devices.enumerated().map { index, device in
        let path = directory.file("state \(index)")
        try Data(generator.bytes(3_000_001)).write(to: URL(fileURLWithPath: path.string))
        return DeviceSource(
          device,
          from: index == 0 ? try FileStateSource(path) : CommandStateSource("cat '\(path)'"))
      }
    }

    private func targets(
      in directory: TemporaryDirectory
    ) throws -> [DeviceIdentity: any DeviceStateTarget] {
      [
        Self.devices[0]: try FileStateTarget(directory.file("loaded 0")),
        Self.devices[1]: CommandStateTarget("cat > '\(directory.file("loaded 1"))'"),
      ]
    }

    private func expectLoaded(in directory: TemporaryDirectory) throws {
      for index in Self.devices.indices {
        try expectSame(directory.file("state \(index)"), directory.file("loaded \(index)"))
        try FileManager.default.removeItem(atPath: directory.file("loaded \(index)").string)
      }
    }

    /// A stock QEMU stops before the area without a word, with and without channels and direct I/O.
    @Test func aStockQEMUStopsBeforeTheArea() throws {
      let vm = try SavedVM(VMKind("q35"))
      let apart = try vm.takeApart(to: "apart")
      let copy = vm.directory.file("copy.img")
      let plan = try SavePlan.ofDirectory(apart.path)
        .with(devices: try sources(in: vm.directory))
      _ = try ImageSave(plan).run(to: copy)
      let image = try Image(reading: File.open(copy, access: .read))
      #expect(image.problems.isEmpty && image.remarks.isEmpty)
      #expect(image.deviceArea?.byteCount == 6_000_002)
      for load in LoadOptions.allCases { try vm.expectRestored(copy, load) }
    }

    /// The sections of QEMU's own devices, given from outside: QEMU takes them from where our channels have put them.
    @Test func aStockQEMUTakesSectionsThatWereWrittenBesideRAM() throws {
      let vm = try SavedVM(VMKind("q35"))
      let apart = try vm.takeApart(to: "apart")
      let vmstate = try File.open(
        apart.path.appending(apart.manifest.vmstateFile), access: .read)
      let stream = try DeviceStateStream(
        reading: vmstate, ramSectionID: apart.manifest.ramSectionID)
      let saves = try stream.devices.filter {
        ["cpu", "cpu_common", "fw_cfg", "acpi_build"].contains($0.identity.idstr)
      }.enumerated().map { index, device in
        let path = vm.directory.file("section \(index)")
        let bytes = try vmstate.readBytes(
          at: device.body.lowerBound.rawValue, count: Int(device.body.byteCount.rawValue))
        try Data(bytes).write(to: URL(fileURLWithPath: path.string))
        return DeviceSource(
          DeviceIdentity(device.identity.idstr, instanceID: device.identity.instanceID),
          from: try FileStateSource(path),
          placement: .section(version: device.identity.version))
      }
      try #require(saves.count >= 2)
      let copy = vm.directory.file("copy.img")
      _ = try ImageSave(SavePlan.ofDirectory(apart.path).with(devices: saves)).run(to: copy)
      let image = try Image(reading: File.open(copy, access: .read))
      #expect(image.problems.isEmpty && image.deviceArea == nil)
      #expect(image.sections.count { $0.type == .full } == stream.devices.count)
      for load in LoadOptions.allCases { try vm.expectRestored(copy, load) }
    }

    /// A captured VM, standing still or in rounds, with devices beside it, restored with them by each engine.
    @Test(arguments: [nil, LiveOptions()])
    func devicesComeBesideAVM(_ live: LiveOptions?) throws {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      try qemu.waitForGuestLines(2)
      let image = directory.file("image")
      let report = try qemu.saveVM(to: image) {
        $0.engine = .capture
        $0.afterwards = .pause
        $0.live = live
        $0.devices = (try? sources(in: directory)) ?? []
      }
      #expect(report.transfer.devices.map(\.byteCount) == [3_000_001, 3_000_001])
      for engine in restoreEngines {
        try restoring(
          image, by: engine, into: kind.configuration(in: directory), then: .pause,
          devices: try targets(in: directory)
        ) { restored in
          try expectLoaded(in: directory)
          #expect(restored.report.transfer?.devices.count == 2)
          try restored.qmp.execute(.cont)
          try restored.expectGuestGoesOn(from: qemu)
        }
      }
    }

    /// A device that fails leaves the VM as it was, and no image.
    @Test func aDeviceThatFailsLeavesTheVMRunning() throws {
      let kind = VMKind("q35")
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      try qemu.waitForGuestLines(2)
      #expect(
        throws: VMError.image(
          .device(
            Self.devices[0], .command(.exited(status: 4), message: "no such GPU")))
      ) {
        try qemu.saveVM(to: directory.file("image")) {
          $0.engine = .capture
          $0.devices = [
            DeviceSource(
              Self.devices[0], from: CommandStateSource("echo no such GPU >&2; exit 4"))
          ]
        }
      }
      #expect(try directory.names() == [])
      try qemu.expectGoesOn()
    }
  }
}
