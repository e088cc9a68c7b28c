import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What matters most, with the guest's processors run by KVM, as nearly all VMs' are.
  @Suite(.enabled(if: QEMU.hasKVM, "needs a KVM that runs the tests' guest")) struct KVMTests {
    /// Small: there are kinds of KVM that run it a hundred times slower than TCG does.
    private static let guest = BootSectorGuest(end: 0x18_0000, seed: 0x0F1E_2D3C)
    private static let configuration = QEMU.Configuration(guest: guest, mebibytes: 8).with {
      $0.accelerator = .kvm
    }

    /// A guest that has run for a while.
    private func running() throws -> QEMU {
      let qemu = try QEMU(Self.configuration)
      try qemu.waitForGuestLines(2)
      return qemu
    }

    /// Stopped and live, by both engines; restored by all.
    @Test(arguments: [VMSave.Engine.capture, .qemu], [false, true])
    func savedAndRestored(by engine: VMSave.Engine, isLive: Bool) throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try running()
      let report = try source.saveVM(to: image) {
        $0.engine = engine
        if isLive { $0.live = LiveOptions() }
      }
      #expect(report.engine == engine && report.stateAfter == "running")
      try source.expectGoesOn()
      _ = try source.saveVM(to: image) {
        $0.engine = engine
        if isLive { $0.live = LiveOptions() }
        $0.afterwards = .pause
      }
      let before = source.serial
      for engine in restoreEngines {
        try restoring(image, by: engine, into: Self.configuration, then: .resume) { restored in
          try restored.expectGuestGoesOn(from: before, sum: Self.guest.sum)
        }
      }
      #expect(source.logBesidesACancellation == "")
    }

    /// Two on one image at once.
    @Test func clonesRunOnOneImage() throws {
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let source = try running()
      _ = try source.saveVM(to: image) { $0.afterwards = .pause }
      let before = source.serial
      try restoring(image, by: .map, into: Self.configuration, then: .resume) { first in
        try restoring(image, by: .map, into: Self.configuration, then: .resume) { second in
          try second.expectGuestGoesOn(from: before, sum: Self.guest.sum)
          try first.expectGuestGoesOn(from: before, sum: Self.guest.sum)
        }
      }
    }

    /// After a disk that is full, and after a cancellation, the guest goes on.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
      arguments: [VMSave.Engine.capture, .qemu])
    func undoneAfterAFailure(by engine: VMSave.Engine) throws {
      let source = try running()
      let tight = try SmallFileSystem(byteCount: 256 << 10)
      let error = #expect(throws: VMError.self) {
        try source.saveVM(to: tight.file("vm.img")) { $0.engine = engine }
      }
      if case .noRoom? = error {} else { try expectFull(error, tight.file("vm.img"), by: engine) }
      #expect(try tight.names() == [])
      let cancellation = Cancellation()
      cancellation.cancel()
      let directory = try TemporaryDirectory()
      #expect(throws: VMError.image(.cancelled)) {
        try source.saveVM(to: directory.file("vm.img"), cancellation: cancellation) {
          $0.engine = engine
        }
      }
      #expect(try source.status() == "running")
      try source.expectGoesOn()
    }
  }
}
