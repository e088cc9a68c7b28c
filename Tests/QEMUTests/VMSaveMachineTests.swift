import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// A VM of some kind, and what of its memory to compare.
struct VMShape: Sendable, CustomStringConvertible {
  let description: String
  /// The blocks that a capture reads from a shared file.
  var shared: Set<String> = []
  /// Memory besides the first 8 MiB, at guest-physical addresses.
  var more: [Range<UInt64>] = []
  /// Whether it needs huge pages.
  var isHuge = false
  let change: @Sendable (inout QEMU.Configuration) -> Void

  static let guest = BootSectorGuest(end: 0x70_0000, seed: 0x1357_9BDF)

  init(
    _ name: String, shared: Set<String> = [], more: [Range<UInt64>] = [],
    _ change: @escaping @Sendable (inout QEMU.Configuration) -> Void
  ) {
    description = name
    self.shared = shared
    self.more = more
    self.change = change
  }

  var configuration: QEMU.Configuration {
    QEMU.Configuration(guest: Self.guest, mebibytes: 8).with(change)
  }

  /// What is RAM in every one of them: between 640 KiB and 1 MiB the guest sees other things.
  var memory: [PhysicalRange] {
    [PhysicalRange(0, 0xA_0000), PhysicalRange(1 << 20, 7 << 20)]
      + more.map { PhysicalRange($0.lowerBound, UInt64($0.count)) }
  }

  static let high: UInt64 = 1 << 32

  static let all: [VMShape] = [
    VMShape("q35") { _ in },
    VMShape("pc") { $0.machine = "pc" },
    VMShape("microvm") { $0.machine = "microvm" },
    VMShape("q35 of 9.2, without SWITCHOVER_START") { $0.machine = "pc-q35-9.2" },
    VMShape("three processors, VGA, network, balloon") {
      $0.processors = 3
      $0.addVGA()
      $0.addNetwork()
      $0.addBalloon()
    },
    VMShape("memfd", shared: ["main"]) { $0.setMemory(.memfd(isShared: true)) },
    VMShape("private memfd") { $0.setMemory(.memfd(isShared: false)) },
    VMShape("private file") { $0.setMemory(.file("main", isShared: false)) },
    VMShape("-mem-path") { $0.arguments += ["-mem-path", "{directory}"] },
    VMShape("shared file", shared: ["main"]) { $0.setMemory(.file("main", isShared: true)) },
    VMShape("aux-ram-share") { $0.machine = "q35,aux-ram-share=on" },
    VMShape("NUMA nodes of four kinds", shared: ["node1", "node2"]) {
      $0.processors = 4
      $0.setNodes([
        .ram, .memfd(isShared: true), .file("node2", isShared: true),
        .file("node3", isShared: false),
      ])
    },
    VMShape("two pc-dimms", shared: ["d1"], more: [high..<high + (48 << 20)]) {
      $0.addSlots()
      $0.addDIMM(.ram, id: "d0", mebibytes: 16)
      $0.addDIMM(.memfd(isShared: true), id: "d1", mebibytes: 32)
    },
    VMShape("virtio-mem") {
      $0.addSlots()
      $0.addVirtioMem(.ram, mebibytes: 64, requestedMebibytes: 16)
    },
    VMShape("huge pages, private") { $0.setMemory(.hugeMemfd(isShared: false)) }.huge,
    VMShape("huge pages, shared", shared: ["main"]) { $0.setMemory(.hugeMemfd(isShared: true)) }
      .huge,
  ]

  private var huge: VMShape {
    var copy = self
    copy.isHuge = true
    return copy
  }
}

extension RealQEMU {
  /// Images of VMs of all kinds are complete: a stock QEMU goes on with them.
  @Suite struct VMSaveMachineTests {
    /// Captured while it runs, then standing still, so that memory can be compared.
    @Test(arguments: VMShape.all.filter { !$0.isHuge || HugePages.isAvailable })
    func captured(_ shape: VMShape) throws {
      let pages = shape.isHuge ? try HugePages(count: 16) : nil
      defer { withExtendedLifetime(pages) {} }
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(shape.configuration)
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
      #expect(Set(shared.map(\.idstr)).intersection(mains) == shape.shared)
      // Of the VM's blocks none is missing, and the image says what the VM was doing.
      let file = try File.open(image, access: .read, directIO: .off)
      let found = try Image(reading: file)
      #expect(found.blocks.map(\.idstr) == report.blocks)
      #expect(try found.runState(in: file) == .running)
      try expectLoaded(
        image, into: shape.configuration, from: source, sum: VMShape.guest.sum,
        memory: shape.memory)
      #expect(source.log == "")
    }

    /// Two saves of a VM that goes on: the guest counts without a gap here and there.
    @Test(arguments: ["q35", "pc", "microvm"])
    func capturedTwiceWhileItRuns(machine: String) throws {
      let directory = try TemporaryDirectory()
      let configuration = QEMU.Configuration(guest: VMShape.guest, mebibytes: 8).with {
        $0.machine = machine
      }
      let source = try QEMU(configuration)
      try source.waitForGuestLines(2)
      let before = try source.state()
      for name in ["one", "two"] {
        let report = try source.saveVM(to: directory.file(name)) { $0.engine = .capture }
        #expect(report.stateAfter == "running" && report.pause != nil)
        #expect(try source.state() == before)
        try source.expectGoesOn(sum: VMShape.guest.sum)
      }
      for name in ["one", "two"] {
        try expectLoaded(
          directory.file(name), into: configuration, from: source, sum: VMShape.guest.sum,
          continues: false)
      }
    }

    /// A dimm that came while the VM ran. The destination has it from the beginning.
    @Test func capturedWithMemoryThatWasPluggedIn() throws {
      let directory = try TemporaryDirectory()
      let slots = QEMU.Configuration(guest: VMShape.guest, mebibytes: 8).with { $0.addSlots() }
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
        sum: VMShape.guest.sum, memory: [PhysicalRange(VMShape.high, 16 << 20)])
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
        memory: [PhysicalRange(UInt64(ArmGuest.memory), 16 << 20)])
    }

    /// Onto a block device, where QEMU loads it from. QEMU cannot save there by itself.
    @Test(.enabled(if: LoopDevice.isAvailable, "needs root and losetup"))
    func capturedOntoADevice() throws {
      let directory = try TemporaryDirectory()
      let device = try LoopDevice(byteCount: 64 << 20, in: directory)
      let source = try QEMU(VMShape.all[0].configuration)
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
        device.path, into: VMShape.all[0].configuration, from: source, sum: VMShape.guest.sum,
        memory: VMShape.all[0].memory, load: .plain)
    }

    /// QEMU's own save of the same kinds.
    @Test(
      arguments: VMShape.all.filter { ["q35", "microvm", "virtio-mem"].contains($0.description) })
    func savedByQEMU(_ shape: VMShape) throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try QEMU(shape.configuration)
      try source.waitForGuestLines(2)
      let report = try source.saveVM(to: image) {
        $0.engine = .qemu
        $0.afterwards = .pause
      }
      #expect(report.engine == .qemu && report.stateAfter == "postmigrate")
      let file = try File.open(image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .running)
      try expectLoaded(
        image, into: shape.configuration, from: source, sum: VMShape.guest.sum,
        memory: shape.memory)
      #expect(source.log == "")
    }
  }
}
