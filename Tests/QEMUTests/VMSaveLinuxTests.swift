import Foundation
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// A real Linux with two processors, a disk and a network card.
  @Suite(.enabled(if: LinuxGuest.isAvailable, "needs the Linux guest: run Tests/install-qemu"))
  struct VMSaveLinuxTests {
    /// Twenty captures in a row. After each fifth the VM ends, and a stock QEMU goes on with its image, so that the next
    /// capture is of a VM that was restored. The ticks are one count, with the same sum, a good disk and network.
    @Test func twentyCapturesInARow() throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let configuration = LinuxGuest().configuration(disk: disk)
      var vm = try QEMU(configuration)
      try vm.waitForMoreTicks(1)
      var serial = ""
      for number in 1...20 {
        let image = directory.file("vm\(number).img")
        let isLast = number % 5 == 0
        let report = try vm.saveVM(to: image) {
          $0.engine = .capture
          if isLast { $0.afterwards = .quit }
        }
        #expect(report.engine == .capture && (isLast || report.pause != nil))
        if isLast {
          try vm.wait(for: "QEMU to end") { !vm.isRunning }
          #expect(vm.log == "")
          serial += vm.serial
          vm = try QEMU(configuration.destination.with { $0.paused = true })
          try vm.load(from: image, LoadOptions.fourChannelsDirect.migration(offset: 0))
          try vm.resume()
        }
        try FileManager.default.removeItem(atPath: image.string)
        try vm.waitForMoreTicks(2)
      }
      let ticks = try LinuxGuest.ticks(of: serial + vm.serial)
      #expect(ticks.count >= 40)
      #expect(ticks.allSatisfy { $0.disk == "ok" && $0.network == "ok" })
      #expect(vm.log == "")
    }
  }
}
