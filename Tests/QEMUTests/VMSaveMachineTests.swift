import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images of VMs of all kinds are complete: a stock QEMU goes on with them.
  @Suite struct VMSaveMachineTests {
    /// Captured while it runs, then standing still, so that memory can be compared.
    @Test(arguments: VMKind.captured.filter { !$0.isHuge || HugePages.isAvailable })
    func captured(_ kind: VMKind) throws {
      let pages = kind.isHuge ? try HugePages(count: 16) : nil
      defer { withExtendedLifetime(pages) {} }
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(kind.configuration)
      try source.waitForGuestLines(2)
      let report = try source.saveVM(to: image) {
        $0.engine = .capture
        $0.afterwards = .pause
      }
      #expect(report.stateBefore == "running" && report.stateAfter == "paused")
      #expect(report.engine == .capture)
      #expect(try source.status() == "paused")
      #expect(try directory.names() == ["vm.img"])
      let shared = report.memory.filter { if case .file = $0.route { true } else { false } }
      let mains = ["main", "node0", "node1", "node2", "node3", "d0", "d1"]
      #expect(Set(shared.map(\.idstr)).intersection(mains) == kind.shared)
      // Of the VM's blocks none is missing, and the image says what the VM was doing.
      let file = try File.open(image, access: .read, directIO: .off)
      let found = try Image(reading: file)
      #expect(found.blocks.map(\.idstr) == report.blocks)
      #expect(try found.runState(in: file) == .running)
      try expectLoaded(
        image, into: kind.configuration, from: source,
        memory: kind.memory.map(\.range))
      #expect(source.log == "")
    }

    /// Two saves of a VM that goes on: the guest counts without a gap here and there.
    @Test(arguments: ["q35", "pc", "microvm"])
    func capturedTwiceWhileItRuns(machine: String) throws {
      let directory = try TemporaryDirectory()
      let configuration = QEMU.Configuration.small.with {
        $0.machine = machine
      }
      let source = try QEMU(configuration)
      try source.waitForGuestLines(2)
      let before = try source.state()
      for name in ["one", "two"] {
        let report = try source.saveVM(to: directory.file(name)) { $0.engine = .capture }
        #expect(report.stateAfter == "running" && report.pause != nil)
        #expect(try source.state() == before)
        try source.expectGoesOn()
      }
      for name in ["one", "two"] {
        try expectLoaded(
          directory.file(name), into: configuration, from: source,
          continues: false)
      }
    }

    /// A dimm that came while the VM ran. The destination has it from the beginning.
    @Test func capturedWithMemoryThatWasPluggedIn() throws {
      let directory = try TemporaryDirectory()
      let slots = QEMU.Configuration.small.with { $0.addSlots() }
      let source = try QEMU(slots)
      try source.waitForGuestLines(2)
      try source.plugDIMM(id: "late", mebibytes: 16)
      let report = try source.saveVM(to: directory.file("vm.img")) {
        $0.engine = .capture
        $0.afterwards = .pause
      }
      #expect(report.blocks.contains("late"))
      try expectLoaded(
        directory.file("vm.img"),
        into: slots.with { $0.addDIMM(.ram, id: "late", mebibytes: 16) }, from: source,
        memory: [VMKind.high..<VMKind.high + (16 << 20)])
    }

    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"), arguments: [1, 2])
    func capturedArm(processors: Int) throws {
      let directory = try TemporaryDirectory()
      let guest = ArmGuest(end: ArmGuest.start + 0x40_0000, seed: 0x2468_ACE0)
      let configuration = try guest.configuration(mebibytes: 16, in: directory).with {
        $0.processors = processors
      }
      let source = try QEMU(configuration)
      try source.waitForGuestLines(2)
      let image = directory.file("vm.img")
      try source.saveVM(to: image) {
        $0.engine = .capture
        $0.afterwards = .pause
      }
      try expectLoaded(
        image, into: configuration, from: source, sum: guest.sum,
        memory: [UInt64(ArmGuest.memory)..<UInt64(ArmGuest.memory) + (16 << 20)])
    }

    /// Onto a block device, where QEMU loads it from. QEMU cannot save there by itself.
    @Test(.enabled(if: LoopDevice.isAvailable, "needs root and losetup"))
    func capturedOntoADevice() throws {
      let directory = try TemporaryDirectory()
      let device = try LoopDevice(byteCount: 64 << 20, in: directory)
      let source = try QEMU(.small)
      try source.waitForGuestLines(2)
      let before = try source.state()
      #expect(throws: VMError.deviceByQEMU(device.path, [])) {
        try source.saveVM(to: device.path) {
          $0.engine = .qemu
          $0.inPlace = true
        }
      }
      #expect(try source.state() == before)
      try source.saveVM(to: device.path) {
        $0.engine = .capture
        $0.inPlace = true
        $0.afterwards = .pause
      }
      try expectLoaded(
        device.path, into: .small, from: source,
        memory: VMKind("q35").memory.map(\.range), load: .init())
    }

    /// QEMU's own save of the same kinds.
    @Test(
      arguments: VMKind.captured.filter {
        ["q35", "microvm", "virtio-mem"].contains($0.description)
      })
    func savedByQEMU(_ kind: VMKind) throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(kind.configuration)
      try source.waitForGuestLines(2)
      let report = try source.saveVM(to: image) {
        $0.engine = .qemu
        $0.afterwards = .pause
      }
      #expect(report.engine == .qemu && report.stateAfter == "postmigrate")
      let file = try File.open(image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .running)
      try expectLoaded(
        image, into: kind.configuration, from: source,
        memory: kind.memory.map(\.range))
      #expect(source.log == "")
    }
  }
}
