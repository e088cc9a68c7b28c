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
  /// Live saves that cannot be of one moment: rounds, or QEMU's own.
  @Suite struct VMSaveLiveChoiceTests {
    /// To read as much takes longer than the VM may be paused; QEMU has next to nothing to write in its pause.
    private static let mebibytes = 768
    private static let wanted = LiveOptions(maximumDowntime: .milliseconds(40))

    /// Memory of a private file, which cannot be protected, and whose guest changes little of it.
    @Test func qemuIsTakenWhereRoundsWouldTakeTooLong() throws {
      let vm = try LiveVM.slow(mebibytes: Self.mebibytes)
      let report = try vm.qemu.saveVM(to: vm.image) { $0.live = Self.wanted }
      guard case .privateFile("dimm0", _)? = report.protectionObstacles.first else {
        Issue.record("\(report.protectionObstacles)")
        return
      }
      let choice = try #require(report.liveChoice)
      #expect(choice.takesQEMU && report.engine == .qemu, "\(choice)")
      #expect(choice.obstacles == [] && choice.roundsTakeTooLong && choice.rounds >= 2)
      #expect(report.engineReasons == [] && report.pause != nil)
      try vm.expectAsBefore(leaving: ["vm.img"], says: true)
      try vm.qemu.quit()
      try expectLoaded(vm.image, into: vm.qemu.configuration, from: vm.qemu, continues: false)
    }

    /// The same VM, by the command: text and JSON say so. In a file that is written where it is.
    @Test func theCommandSaysSo() throws {
      let vm = try LiveVM.slow(mebibytes: Self.mebibytes)
      try Data().write(to: URL(fileURLWithPath: vm.image.string))
      let words = [
        "save", vm.qemu.qmpSocket.string, vm.image.string, "--live", "--max-downtime", "40",
        "--in-place",
      ]
      let text = try Tool.succeed(words)
      #expect(text.errors.contains("QEMU's own live save was taken after"), "\(text.errors)")
      #expect(text.errors.contains("saved by QEMU itself, not by a snapshot"), "\(text.errors)")
      let json = try Tool.succeed(words + ["--json"])
      #expect(json.text.contains("\"taken\" : \"qemu\""), "\(json.text)")
      try vm.expectAsBefore(leaving: ["vm.img"], says: true)
      try vm.qemu.quit()
      try expectLoaded(vm.image, into: vm.qemu.configuration, from: vm.qemu, continues: false)
    }

    /// Who asks for rounds, or for a capture, gets them; so does who asks for what QEMU cannot do.
    @Test func whatIsAskedForIsKept() throws {
      let vm = try LiveVM.slow(mebibytes: Self.mebibytes)
      func report(_ change: (inout VMSave) -> Void) throws -> VMSaveReport {
        try vm.qemu.saveVM(to: vm.image) {
          $0.live = LiveOptions(maximumDowntime: .milliseconds(40), maximumRounds: 2)
          change(&$0)
        }
      }
      let rounds = try report { $0.liveMethod = .rounds }
      #expect(rounds.engine == .capture && rounds.live != nil && rounds.liveChoice == nil)
      let capture = try report { $0.engine = .capture }
      #expect(capture.engine == .capture && capture.live != nil && capture.liveChoice == nil)
      let layout = try report { $0.layout = .hugePages }
      #expect(layout.engine == .capture && layout.liveChoice?.obstacles == [.layout(.hugePages)])
      #expect(layout.liveChoice?.takesQEMU == false)
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    /// One that changes all of its memory keeps no such pause with QEMU either.
    @Test func roundsGoOnWhereNeitherKeepsIt() throws {
      let vm = try LiveVM(VMKind.busy(44).configuration)
      try vm.qemu.setCapability("background-snapshot", false)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.live = LiveOptions(maximumDowntime: .milliseconds(1), bytesPerSecond: 1 << 30)
      }
      #expect(report.protectionObstacles.contains(.limitedBandwidth))
      let choice = try #require(report.liveChoice)
      #expect(!choice.takesQEMU && choice.roundsTakeTooLong && report.engine == .capture)
      #expect(report.live != nil)
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    // MARK: VMs on an image

    private static let kind = VMKind("sparse", mebibytes: 64) {
      $0.guest = BootSectorGuest(
        end: 0x80_0000, seed: 0x5EED_0000, churn: 0x80_0000..<0xA0_0000)
    }

    /// A VM that runs on an image is never given to QEMU by `auto`, neither live, nor where it cannot be captured.
    @Test func autoDoesNotGiveQEMUAVMOnAnImage() throws {
      let vm = try SavedVM(Self.kind)
      let again = vm.directory.file("again.img")
      try restoring(
        vm.image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(2)
        var save = VMSave.watched(to: again)
        save.live = LiveOptions(maximumDowntime: .zero, maximumRounds: 3)
        let report = try save.run(restored.qmp)
        guard case .runsOnImage(_, vm.image.string)? = report.liveChoice?.obstacles.first else {
          Issue.record("\(String(describing: report.liveChoice))")
          return
        }
        #expect(report.engine == .capture)
        // Only QEMU could save it so.
        try restored.qmp.execute(.setMigrationCapabilities(["dirty-bitmaps": true]))
        save.live = nil
        #expect(try VMInspection(of: restored.qmp).save.engine == nil)
        #expect {
          try save.run(restored.qmp)
        } throws: { error in
          guard case .notByQEMU(let obstacles, [.capability("dirty-bitmaps")])? = error as? VMError
          else { return false }
          guard case .runsOnImage? = obstacles.first else { return false }
          return "\(error)".contains("would read all of it")
        }
        // Who insists is warned.
        save.engine = .qemu
        save.replacing = .anything
        var warnings: [VMSaveWarning] = []
        let insisted = try save.run(restored.qmp, onWarning: { warnings.append($0) })
        #expect(insisted.engine == .qemu)
        #expect(
          warnings.contains {
            if case .readsImage(_, vm.image.string) = $0 { true } else { false }
          }, "\(warnings)")
        try restored.qmp.execute(.setMigrationCapabilities(["dirty-bitmaps": false]))
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }

    /// On a full tmpfs QEMU would be the VM's end, and that is refused also to who insists.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs root and mount"), arguments: [true, false])
    func qemuIsRefusedWhereItWouldFillMemory(isLive: Bool) throws {
      let vm = try SavedVM(Self.kind)
      let files = try SmallFileSystem(byteCount: 32 << 20)
      let image = files.file("image")
      try Subprocess.succeed(["cp", "--sparse=always", vm.image.string, image.string])
      try restoring(
        image, by: .map, into: vm.kind.configuration(in: vm.directory), then: .resume
      ) { restored in
        try restored.waitForLineEnds(2)
        let used = try files.usedByteCount()
        var save = VMSave.watched(to: vm.directory.file("again.img"))
        save.engine = .qemu
        if isLive { save.live = LiveOptions() }
        #expect {
          try save.run(restored.qmp)
        } throws: { error in
          guard case .notByQEMU(let obstacles, [])? = error as? VMError else { return false }
          guard case .fillsMemory(_, image.string, let byteCount, let available)? = obstacles.first
          else { return false }
          return byteCount > available
        }
        #expect(try files.usedByteCount() == used)
        #expect(!exists(save.image))
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }
  }
}
