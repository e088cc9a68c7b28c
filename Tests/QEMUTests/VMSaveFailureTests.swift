import Foundation
import Glibc
import LinuxIO
import MappedRAM
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// After a save that fails the VM is what it was.
  @Suite struct VMSaveFailureTests {
    @Test(arguments: [VMSave.Engine.capture, .qemu], [true, false])
    func directoryThatIsNotThere(engine: VMSave.Engine, runs: Bool) throws {
      let vm = try LiveVM.slow(mebibytes: 8)
      let paused = runs ? vm : try vm.paused()
      #expect {
        try paused.qemu.saveVM(to: vm.directory.file("none").appending("vm.img")) {
          $0.engine = engine
        }
      } throws: { error in
        guard case .image(.system(let error)) = error as? VMError else { return false }
        return error.errno == .noSuchFileOrDirectory
      }
      try paused.expectAsBefore()
    }

    /// A file system of 16 MiB.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
      arguments: [VMSave.Engine.capture, .qemu], [true, false])
    func fullDisk(engine: VMSave.Engine, runs: Bool) throws {
      let vm = try LiveVM.slow(mebibytes: 32, space: 16 << 20)
      let paused = runs ? vm : try vm.paused()
      let error = #expect(throws: VMError.self) {
        try paused.qemu.saveVM(to: vm.image) { $0.engine = engine }
      }
      try expectFull(error, vm.image, by: engine)
      try paused.expectAsBefore(says: engine == .qemu)
    }

    /// Where not even the least fits, the VM is not paused; where it may not, that is said before.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
      arguments: VMSave.Engine.allCases)
    func roomIsLookedAtBefore(_ engine: VMSave.Engine) throws {
      let qemu = try QEMU(.small)
      try qemu.waitForGuestLines(2)
      let full = try SmallFileSystem(byteCount: 4096)
      try Subprocess.succeed(["sh", "-c", "yes | head -c 4096 >'\(full.file("other"))'"])
      #expect {
        try qemu.saveVM(to: full.file("image")) { $0.engine = engine }
      } throws: {
        guard case .noRoom(full.file("image"), 0, let needed) = $0 as? VMError else { return false }
        return needed > 0
      }
      #expect(try full.names() == ["other"])
      let tight = try SmallFileSystem(byteCount: 4 << 20)
      var warnings: [VMSaveWarning] = []
      var save = VMSave.watched(to: tight.file("image"))
      save.engine = engine
      _ = try? save.run(
        try QMPConnection(connecting: qemu.qmpSocket), onWarning: { warnings.append($0) })
      guard case .mayNotFit(tight.file("image"), 4_194_304, let needed) = warnings.first else {
        Issue.record("\(warnings)")
        return
      }
      #expect(needed > 4 << 20)
      let result = try Tool.run([
        "save", qemu.qmpSocket.string, "--engine", engine.rawValue, "--progress", "json",
        tight.file("image").string,
      ])
      #expect(result.errors.contains(#""type":"warning""#))
      let enough = try SmallFileSystem(byteCount: 512 << 20)
      warnings = []
      save.image = enough.file("image")
      _ = try save.run(
        try QMPConnection(connecting: qemu.qmpSocket), onWarning: { warnings.append($0) })
      #expect(warnings == [])
      try qemu.expectGoesOn()
    }

    /// As above, of a VM with shared memory.
    @Test(.enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"))
    func fullDiskAndSharedMemory() throws {
      let vm = try LiveVM.slow(mebibytes: 32, isShared: true, space: 16 << 20)
      let error = #expect(throws: VMError.self) {
        try vm.qemu.saveVM(to: vm.image) { $0.engine = .capture }
      }
      try expectFull(error, vm.image, by: .capture)
      try vm.expectAsBefore()
    }

    /// Many times, since QEMU dies only now and then of it where it saves with several channels.
    @Test(
      .enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"),
      arguments: [nil, LiveOptions()])
    func fullDiskAgainAndAgain(live: LiveOptions?) throws {
      let vm = try LiveVM.slow(mebibytes: 32, space: 16 << 20)
      for _ in 1...30 {
        let error = #expect(throws: VMError.self) {
          try vm.qemu.saveVM(to: vm.image) {
            $0.engine = .qemu
            $0.live = live
          }
        }
        try expectFull(error, vm.image, by: .qemu)
        guard try vm.qemu.state() == vm.before else { break }
      }
      try vm.expectAsBefore(says: true)
    }

    /// QEMU itself may not make files of that size.
    @Test(arguments: [true, false])
    func limitOnQEMUsFileSizes(runs: Bool) throws {
      let vm = try LiveVM.slow(mebibytes: 32)
      let paused = runs ? vm : try vm.paused()
      try Subprocess.succeed(["prlimit", "--pid=\(vm.qemu.processID)", "--fsize=10000000"])
      let error = #expect(throws: VMError.self) {
        try paused.qemu.saveVM(to: vm.image) { $0.engine = .qemu }
      }
      guard case .migrationFailed(vm.image, _?, _) = error else {
        throw HarnessError("\(String(describing: error))")
      }
      try paused.expectAsBefore(says: true)
    }

    /// Somebody else's migration goes on, and so does the VM.
    @Test(arguments: VMSave.Engine.allCases)
    func migrationOfSomebodyElse(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow(mebibytes: 8)
      try vm.qemu.setCapability("multifd", false)
      let before = try vm.qemu.state()
      try vm.qemu.execute("migrate", ["uri": "exec:cat >/dev/null"])
      try vm.qemu.wait(for: "the migration") { try migration(of: vm.qemu) == "active" }
      let error = #expect(throws: VMError.self) {
        try vm.qemu.saveVM(to: vm.image) { $0.engine = engine }
      }
      #expect(error == .state(found: "migration: active", expected: ["no migration under way"]))
      #expect(try migration(of: vm.qemu) == "active")
      #expect(try vm.qemu.state() == before)
      #expect(try vm.directory.names().isEmpty)
    }

    private func migration(of qemu: QEMU) throws -> String? {
      let answer = try qemu.execute("query-migrate") as? [String: Any]
      return answer?["status"] as? String
    }

    /// A QEMU that waits for an image has no VM to save, and goes on waiting.
    @Test(arguments: VMSave.Engine.allCases)
    func vmThatWaitsForAnImage(engine: VMSave.Engine) throws {
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(QEMU.Configuration().destination)
      let before = try qemu.state()
      let error = #expect(throws: VMError.self) {
        try qemu.saveVM(to: directory.file("vm.img")) { $0.engine = engine }
      }
      #expect(error == .state(found: "inmigrate", expected: ["running", "paused"]))
      #expect(try qemu.state() == before)
      #expect(try directory.names().isEmpty)
    }

    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func cancelledBeforeItBegins(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow(mebibytes: 64)
      let cancellation = Cancellation()
      cancellation.cancel()
      #expect(throws: VMError.image(.cancelled)) {
        try vm.qemu.saveVM(to: vm.image, cancellation: cancellation) { $0.engine = engine }
      }
      try vm.expectAsBefore(says: engine == .qemu)
    }
  }
}

/// Fails unless `error` is that of a save to `image` for which the disk has no room.
func expectFull(_ error: VMError?, _ image: FilePath, by engine: VMSave.Engine) throws {
  switch error {
  case .image(.system(let error))? where engine == .capture: #expect(error.errno == .noSpace)
  case .migrationFailed(image, let reason?, _)? where engine == .qemu:
    #expect(reason.contains("No space left on device"))
  default: throw HarnessError("\(String(describing: error))")
  }
}
