import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The device state of a captured VM, by both routes.
  @Suite struct VMSaveDescriptionTests {
    private let shared = QEMU.Configuration(guest: VMShape.guest, mebibytes: 8).with {
      $0.setMemory(.file("main", isShared: true))
      $0.addVGA()
      $0.addNetwork()
    }

    /// Where the RAM is a shared file and the VM goes on, QEMU describes its devices itself, every field of them.
    @Test func sharedFileGetsQEMUsOwnDescription() throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(shared)
      try source.setCapability("multifd", true)
      try source.execute("migrate-set-parameters", ["max-bandwidth": 1000])
      try source.waitForGuestLines(2)
      let before = try source.state()
      let report = try source.saveVM(to: image) { $0.engine = .capture }
      #expect(report.deviceState == .migration && report.stateAfter == "running")
      #expect(try source.state() == before)
      try source.expectGoesOn(sum: VMShape.guest.sum)
      let shown = try inspectDevices(image)
      #expect(shown.contains("timers_state") || shown.contains("timer"), "\(shown)")
      #expect(shown.contains("cpu_ticks_offset"), "\(shown.prefix(2000))")
      try expectLoaded(
        image, into: shared, from: source, sum: VMShape.guest.sum, continues: false)
      #expect(source.log == "")
    }

    /// Otherwise each section is there with its name and length.
    @Test func otherMemoryGetsADescriptionOfSections() throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(VMShape.all[0].configuration)
      try source.waitForGuestLines(2)
      let report = try source.saveVM(to: image) { $0.engine = .capture }
      #expect(report.deviceState == .devicesOnly)
      let shown = try inspectDevices(image)
      #expect(shown.contains("timer") && shown.contains("globalstate"), "\(shown)")
      #expect(!shown.contains("cpu_ticks_offset"))
      // QEMU's own reader of descriptions accepts it.
      let read = try ImageDecoderOracle.read(image)
      #expect(read.complete == true)
    }

    private func inspectDevices(_ image: FilePath) throws -> String {
      try Subprocess.succeed([Tool.path, "inspect", "--devices", image.string]).text
    }
  }
}
