import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// A real Linux with two processors, a disk and a network card.
  @Suite(.enabled(if: LinuxGuest.isAvailable, "needs the Linux guest: run Tests/install-qemu"))
  struct VMRestoreLinuxTests {
    /// Captured, restored by a stock QEMU's own loader and by each engine; saved again after each.
    @Test func linuxGoesOnFromEngineToEngine() throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let configuration = LinuxGuest().configuration(disk: disk)
      var image = directory.file("image 0")
      var serial = try stockSource(configuration, to: image)
      for (number, engine) in (restoreEngines + [.map]).enumerated() {
        let next = directory.file("image \(number + 1)")
        try restoring(image, by: engine, into: configuration, then: .resume) { restored in
          let lines = { restored.serial.utf8.count { $0 == 0x0A } }
          try waitUntil { lines() >= 4 }
          var save = VMSave.watched(to: next)
          save.engine = .capture
          save.afterwards = .quit
          _ = try save.run(restored.qmp)
          serial += restored.serial
          #expect(restored.log == "")
        }
        image = next
      }
      let stock = try QEMU(configuration.destination.with { $0.paused = true })
      try stock.load(from: image)
      try stock.resume()
      try stock.waitForMoreTicks(3)
      #expect(stock.log == "")
      try stock.stop()
      let ticks = try LinuxGuest.ticks(of: serial + stock.serial)
      #expect(ticks.count >= 15)
      #expect(ticks.allSatisfy { $0.disk == "ok" && $0.network == "ok" })
    }

    /// Boots, is captured and ends. What it printed.
    private func stockSource(
      _ configuration: QEMU.Configuration, to image: FilePath
    ) throws -> String {
      let vm = try QEMU(configuration)
      try vm.wait(for: "the first ticks") { try vm.ticks().count >= 3 }
      var save = VMSave.watched(to: image)
      save.engine = .capture
      save.afterwards = .quit
      _ = try save.run(try QMPConnection(connecting: vm.qmpSocket))
      return vm.serial
    }
  }
}
