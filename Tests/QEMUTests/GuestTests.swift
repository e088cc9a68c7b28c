import Foundation
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The guests and the VMs that other suites save and restore, shown with QEMU saving and loading by itself.
  @Suite struct GuestTests {
    /// A Linux with two processors, a disk and a network card: count, sum, disk and network go on in a second QEMU.
    @Test(
      .enabled(if: LinuxGuest.isAvailable, "needs a Linux guest: run Tests/install-qemu"),
      arguments: ["q35", "pc", "microvm"])
    func linuxGoesOnWhereItWasSaved(machine: String) throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      var guest = LinuxGuest()
      guest.machine = machine
      let configuration = guest.configuration(disk: disk)
      let source = try QEMU(configuration)
      try source.waitForMoreTicks(5)
      let image = directory.file("vm.img")
      try source.save(to: image, .init(channels: 2, isDirect: true))
      let saved = try source.ticks()
      #expect(saved.count >= 5)
      #expect(saved.last?.disk == "ok")
      #expect(saved.last?.network == "ok")

      let target = try QEMU(configuration.destination)
      try target.load(from: image, .init(channels: 2, isDirect: true))
      try target.resume()
      try target.waitForMoreTicks(5)
      try target.stop()
      #expect(try LinuxGuest.ticks(of: source.serial + target.serial).count >= saved.count + 5)
      #expect(target.log == "")
    }

    /// With a disk older than the memory the guest says that its disk is bad.
    @Test(.enabled(if: LinuxGuest.isAvailable, "needs a Linux guest: run Tests/install-qemu"))
    func linuxNoticesAnOldDisk() throws {
      let directory = try TemporaryDirectory()
      let (disk, old) = (directory.file("disk"), directory.file("old"))
      for file in [disk, old] { try QEMU.makeDisk(file, mebibytes: 1) }
      let guest = LinuxGuest()
      let source = try QEMU(guest.configuration(disk: disk))
      try source.waitForMoreTicks(5)
      let image = directory.file("vm.img")
      try source.save(to: image)
      let target = try QEMU(guest.configuration(disk: old).destination)
      try target.load(from: image)
      try target.resume()
      try target.waitForMoreTicks(3)
      #expect {
        try LinuxGuest.ticks(of: source.serial + target.serial)
      } throws: { error in
        "\(error)".contains("disk bad")
      }
    }

    /// The guest for Arm.
    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"))
    func armGuestGoesOnWhereItWasSaved() throws {
      let directory = try TemporaryDirectory()
      let guest = ArmGuest(end: 0x4060_0000, seed: 0x1234_5678)
      let configuration = try guest.configuration(mebibytes: 8, in: directory)
      let source = try QEMU(configuration)
      try source.waitForGuestLines(3)
      let image = directory.file("vm.img")
      try source.save(to: image)
      let target = try QEMU(configuration.destination)
      try target.load(from: image)
      try target.resume()
      try target.waitForLineEnds(3)
      try expectLines(of: source.serial + target.serial, sum: guest.sum)
      #expect(target.log == "")
    }

    /// All devices and kinds of memory at once, one dimm of it plugged in while the VM ran, are those of the destination.
    @Test func destinationHasTheSameDevices() throws {
      let directory = try TemporaryDirectory()
      let guest = BootSectorGuest(end: 0x70_0000)
      let disks = [directory.file("raw"), directory.file("qcow2")]
      try QEMU.makeDisk(disks[0], mebibytes: 1)
      try QEMU.makeDisk(disks[1], mebibytes: 1, format: "qcow2")
      let configuration = QEMU.Configuration(guest: guest, mebibytes: 8).with {
        $0.processors = 2
        $0.addSlots()
        $0.setNodes([.memfd(isShared: true), .file("node1", isShared: true)])
        $0.addDIMM(.file("dimm0", isShared: false), mebibytes: 16)
        $0.addVirtioMem(.memfd(isShared: true), mebibytes: 16, requestedMebibytes: 8)
        $0.addDisk(disks[0])
        $0.addDisk(disks[1], format: "qcow2")
        $0.addNetwork()
        $0.addBalloon()
        $0.addVGA()
      }
      let source = try QEMU(configuration)
      try source.waitForGuestLines(2)
      try source.plugDIMM(id: "plugged", mebibytes: 16)
      let image = directory.file("vm.img")
      try source.save(to: image)
      let found = try #require(try ImageDecoderOracle.read(image).blocks).map(\.idstr)
      for block in ["node0", "node1", "dimm0", "plugged"] { #expect(found.contains(block)) }
      #expect(found.contains { $0.hasSuffix("/vmem0") })
      #expect(found.contains { $0.hasSuffix("/vga.vram") })
      let target = try QEMU(
        configuration.with { $0.addDIMM(.ram, id: "plugged", mebibytes: 16) }.destination)
      try target.load(from: image)
      try target.resume()
      try target.waitForLineEnds(2)
      let lines = try BootSectorGuest.lines(of: source.serial + target.serial)
      #expect(lines.map(\.count) == Array(1...UInt32(lines.count)))
      #expect(target.log == "")
    }

    /// Memory of each kind starts, and its block has the name of the backend.
    @Test(arguments: [
      QEMU.Configuration.Backend.ram, .memfd(isShared: true), .memfd(isShared: false),
      .file("memory", isShared: true), .file("memory", isShared: false),
    ])
    func memoryOfEachKindRunsTheGuest(backend: QEMU.Configuration.Backend) throws {
      let guest = BootSectorGuest(end: 0x70_0000)
      let qemu = try QEMU(
        QEMU.Configuration(guest: guest, mebibytes: 8).with { $0.setMemory(backend) })
      try qemu.waitForGuestLines(2)
      #expect(try qemu.humanMonitor("info ramblock").contains(" main "))
    }

    /// Huge pages are there as long as they are asked for.
    @Test(.enabled(if: HugePages.isAvailable, "needs root and 16 MiB of huge pages"))
    func hugePagesRunTheGuest() throws {
      let pages = try HugePages(count: 8)
      let guest = BootSectorGuest(end: 0x70_0000)
      for isShared in [true, false] {
        let qemu = try QEMU(
          QEMU.Configuration(guest: guest, mebibytes: 16).with {
            $0.setMemory(.hugeMemfd(isShared: isShared))
          })
        try qemu.waitForGuestLines(2)
        #expect(try qemu.humanMonitor("info ramblock").contains("2 MiB"))
        try qemu.quit()
      }
      withExtendedLifetime(pages) {}
    }
  }
}
