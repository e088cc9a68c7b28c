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
  /// Images of other origin: libvirt's, other architectures', our own.
  @Suite struct VMRestoreForeignTests {
    /// The image in libvirt's container, in a plain QEMU with the arguments of that domain (Tests/Reference/save-with-libvirt).
    @Test(arguments: restoreEngines)
    func imageOfLibvirtGoesOn(_ engine: VMRestore.Engine) throws {
      let directory = try TemporaryDirectory()
      let image = try Fixture("libvirt").unpack(into: directory)
      var configuration = QEMU.Configuration(
        guest: BootSectorGuest(end: 4 << 20, mask: 7), mebibytes: 4)
      let type = try #require(try RestoreSource(image).image.prologue?.configuration.machineType)
      configuration.machine = "\(type),usb=off"
      configuration.arguments = ["-no-user-config", "-boot", "strict=on"]
      try restoring(image, by: engine, into: configuration, in: directory) { restored in
        #expect(restored.report.state == "running")
        try restored.waitForLineEnds(3)
        try restored.qmp.execute(.stop)
        // The first line began in the other VM.
        let lines = restored.serial.split(separator: "\n").dropFirst().dropLast()
        let sum = String(configuration.guest?.sum ?? 0, radix: 16)
        #expect(!lines.isEmpty && lines.allSatisfy { $0.hasSuffix(sum) }, "\(restored.serial)")
        #expect(restored.log == "")
      }
    }

    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"), arguments: [false, true])
    func armMachineGoesOn(isCaptured: Bool) throws {
      let directory = try TemporaryDirectory()
      let guest = ArmGuest(end: ArmGuest.start + (3 << 20))
      let configuration = try guest.configuration(mebibytes: 8, in: directory)
      let vm = try QEMU(configuration)
      try vm.waitForGuestLines(2)
      let image = directory.file("image")
      if isCaptured { try capture(vm, to: image) } else { try vm.save(to: image) }
      try vm.stop()
      for engine in restoreEngines {
        try restoring(image, by: engine, into: configuration, then: .resume) { restored in
          #expect(restored.way(of: "mach-virt.ram") != .stream)
          try restored.expectGuestGoesOn(from: vm.serial, sum: guest.sum)
        }
      }
    }

    /// What we captured goes on in each engine, and once more after it was captured again.
    @Test(arguments: ["q35", "pc", "microvm"])
    func capturedImageGoesOnAgainAndAgain(machine: String) throws {
      let kind = VMKind(machine, machine: machine)
      let directory = try TemporaryDirectory()
      let source = try QEMU(kind.configuration(in: directory))
      try source.waitForGuestLines(2)
      var image = directory.file("image 0")
      try capture(source, to: image)
      var serial = source.serial
      for (number, engine) in (restoreEngines + [.map]).enumerated() {
        let next = directory.file("image \(number + 1)")
        try restoring(
          image, by: engine, into: kind.configuration(in: directory), then: .resume
        ) { restored in
          try restored.waitForLineEnds(2)
          try Self.save(restored.qmp, then: .pause, to: next)
          serial += restored.serial
          #expect(restored.log == "")
        }
        image = next
      }
      #expect(try BootSectorGuest.lines(of: serial).count >= 10)
      try expectLines(of: serial, sum: source.guestSum)
    }

    /// Captures `vm` and leaves it paused.
    private func capture(_ vm: QEMU, to image: FilePath) throws {
      try Self.save(try QMPConnection(connecting: vm.qmpSocket), then: .pause, to: image)
    }

    private static func save(
      _ qmp: QMPConnection, then afterwards: Ending, to image: FilePath
    ) throws {
      var save = VMSave.watched(to: image)
      save.engine = .capture
      save.afterwards = afterwards
      _ = try save.run(qmp)
    }
  }
}
