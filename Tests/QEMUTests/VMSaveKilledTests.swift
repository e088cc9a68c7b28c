import Foundation
import Glibc
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The built command, ended in the middle of a save.
  @Suite struct VMSaveKilledTests {
    /// Starts a save and stops the command once the VM stands still and, with QEMU's engine, the migration is under way.
    private func caught(
      _ vm: LiveVM, _ engine: VMSave.Engine, _ options: [String] = [],
      until condition: () throws -> Bool = { true }
    ) throws -> RunningTool {
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image, ["--engine", engine.rawValue] + options)
      try save.wait(for: "the pause") {
        guard engine == .qemu else { return try vm.qemu.status() == "paused" && condition() }
        let answer = try vm.qemu.execute("query-migrate") as? [String: Any]
        return answer?["status"] as? String == "active"
      }
      save.send(SIGSTOP)
      return save
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu], [SIGINT, SIGTERM])
    func interrupted(engine: VMSave.Engine, number: Int32) throws {
      let vm = try LiveVM.slow()
      let save = try caught(vm, engine)
      save.send(number)
      save.send(SIGCONT)
      #expect(try save.wait() == 130)
      #expect(save.errors.contains("Interrupted"), "\(save.errors)")
      try vm.expectAsBefore(says: engine == .qemu)
    }

    /// QEMU itself dies of some cancellations (see `MigrationEnding`), so of those it never sees one.
    @Test func interruptedAtAnyMomentAgainAndAgain() throws {
      let vm = try LiveVM.slow()
      var generator = SeededGenerator()
      for _ in 0..<12 {
        let save = try caught(vm, .qemu)
        save.send(SIGCONT)
        usleep(.random(in: 0..<60_000, using: &generator))
        save.send(SIGINT)
        let status = try save.wait()
        // It may come too late: the image is there then.
        #expect(status == (exists(vm.image) ? 0 : 130), "\(save.errors)")
        try? FileManager.default.removeItem(atPath: vm.image.string)
        try vm.expectAsBefore(says: true)
      }
    }

    /// Nobody is left to clean up but the watchdog.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func killed(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow()
      let save = try caught(vm, engine)
      save.send(SIGKILL)
      #expect(try save.wait() == 128 + SIGKILL)
      try vm.qemu.wait(for: "the watchdog", seconds: 40) { try vm.qemu.state() == vm.before }
      try vm.expectAsBefore(says: engine == .qemu)
    }

    /// timeout(1) sends two signals within microseconds, which is not impatience: all is undone, and no command is left.
    @Test(arguments: ["TERM", "INT"])
    func timedOut(signal: String) throws {
      let vm = try LiveVM.slow()
      let snapshots = try TemporaryDirectory()
      let mark = "sleep 87.\(UInt32.random(in: 1000...9999))"
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image,
        ["--snapshot-disks", snapshots.path.string, "--device", "g=|\(mark)"],
        prefix: ["timeout", "--signal=\(signal)", "2"])
      #expect(try save.wait() == 124)
      #expect(save.errors.contains("Interrupted"), "\(save.errors)")
      try vm.expectAsBefore()
      #expect(try snapshots.names() == [])
      #expect(try Subprocess.run(["pgrep", "-f", mark]).status == 1)
    }

    /// The migration has come to its end when the command is killed: the VM is in `postmigrate`.
    @Test func killedOnceQEMUHasWrittenAll() throws {
      let vm = try LiveVM.slow()
      let save = try caught(vm, .qemu)
      try vm.qemu.waitForMigration()
      save.send(SIGKILL)
      _ = try save.wait()
      try vm.qemu.wait(for: "the watchdog", seconds: 40) { try vm.qemu.state() == vm.before }
      try vm.expectAsBefore()
    }

    /// A limit on the size of files: nothing is left, and the VM goes on.
    @Test(arguments: [VMSave.Engine.capture])
    func limitOnFileSizes(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow(mebibytes: 64)
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image, ["--engine", engine.rawValue],
        prefix: ["env", "--default-signal=XFSZ", "prlimit", "--fsize=1000000"])
      #expect(try save.wait() == 74, "\(save.errors)")
      #expect(save.errors.contains("vm.img"), "\(save.errors)")
      try vm.expectAsBefore()
    }
  }
}
