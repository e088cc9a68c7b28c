import Foundation
import Glibc
import LinuxIO
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// Another client's migrations, and what it does to ours.
extension RealQEMU.VMSaveOthersTests {
  /// The paused VM is migrated away: its disks are another's now, so it must not run here again.
  @Test func migratedAway() throws {
    // The first look at all, the look before the pause, the one with it, the one at obstacles, the look before the VM is to be resumed.
    let (tool, proxy) = try save(
      [
        .init(
          "query-status", nth: 5, seconds: 2,
          before: [.init("migrate", ["uri": "exec:cat >/dev/null"])], over: other)
      ], ["--engine", "capture"])
    #expect(try tool.wait() == 69)
    #expect(tool.errors.contains("migrated"), "\(tool.errors)")
    #expect(tool.errors.contains("\"postmigrate\""), "\(tool.errors)")
    #expect(try directory.names() == [])
    #expect(try qemu.status() == "postmigrate")
    withExtendedLifetime(proxy) {}
  }

  /// The paused VM is resumed: what was read does not fit together, so there is no image.
  @Test func resumedInThePause() throws {
    let (tool, proxy) = try save(
      [.init("query-status", nth: 5, before: [.init("cont")], over: other)],
      ["--engine", "capture"])
    #expect(try tool.wait() == 69)
    #expect(
      tool.errors.contains("Another client resumed the VM during the save"), "\(tool.errors)")
    try expectRunsUnsaved()
    withExtendedLifetime(proxy) {}
  }

  /// QEMU is told to end while its VM is saved: that is seen at once, and there is no image.
  @Test(arguments: [VMSave.Engine.capture, .qemu])
  func endedInThePause(engine: VMSave.Engine) throws {
    // When the VM has been paused, and before it is saved.
    let command = engine == .capture ? "xen-save-devices-state" : "migrate"
    let (tool, proxy) = try save(
      [.init(command, seconds: 1, before: [.init("quit")], over: other)],
      ["--engine", engine.rawValue])
    let start = ContinuousClock.now
    #expect(try tool.wait() == 69)
    #expect(ContinuousClock.now - start < .seconds(30))
    #expect(tool.errors.contains("QEMU"), "\(tool.errors)")
    #expect(try directory.names() == [])
    withExtendedLifetime(proxy) {}
  }

  /// Killed while another client migrates the paused VM: the watchdog leaves it alone.
  @Test func migratedAwayFromADeadSave() throws {
    let (tool, proxy) = try save(
      [
        .init(
          "query-status", nth: 5, seconds: 15,
          before: [.init("migrate", ["uri": "exec:cat >/dev/null"])], over: other)
      ], ["--engine", "capture"])
    try tool.wait(for: "the migration", every: .milliseconds(5)) {
      try qemu.status() == "postmigrate"
    }
    let watchdogs = try tool.watchdogs()
    try #require(watchdogs.count == 1)
    tool.send(SIGKILL)
    _ = try tool.wait()
    try qemu.wait(for: "the watchdog's end", seconds: 60) {
      !exists(FilePath("/proc/\(watchdogs[0])"))
    }
    #expect(try qemu.status() == "postmigrate")
    withExtendedLifetime(proxy) {}
  }

  /// Another client's migration begins right before ours: it is neither cancelled nor slowed down.
  @Test(arguments: [[], ["--live"]])
  func migrationOfAnother(live: [String]) throws {
    try qemu.execute("migrate-set-parameters", ["max-bandwidth": 100_000])
    let before = try qemu.state()
    let (tool, proxy) = try save(
      [
        .init(
          "migrate-set-capabilities", nth: 1, seconds: 0.2,
          before: [.init("migrate", ["uri": "exec:cat >/dev/null"])], over: other)
      ], ["--engine", "qemu"] + live)
    #expect(try tool.wait() == 69)
    #expect(tool.errors.contains("in progress"), "\(tool.errors)")
    #expect(try migrationStatus() == "active")
    #expect(try qemu.state().parameters == before.parameters)
    try qemu.execute("migrate_cancel")
    try qemu.wait(for: "the end", seconds: 30) { try migrationStatus() == "cancelled" }
    try expectRunsUnsaved()
    withExtendedLifetime(proxy) {}
  }

  /// The same between the settings and ours, where it goes by our settings.
  @Test func migrationOfAnotherAtTheLastMoment() throws {
    let target = files.file("another.img")
    let (tool, proxy) = try save(
      [
        .init(
          "migrate", nth: 1,
          before: [.init("migrate", ["uri": "file:\(target)"])], over: other)
      ], ["--engine", "qemu", "--live"])
    #expect(try tool.wait() == 69)
    #expect(tool.errors.contains("in progress"), "\(tool.errors)")
    try qemu.wait(for: "the end", seconds: 30) { try migrationStatus() == "completed" }
    #expect(try directory.names() == [])
    withExtendedLifetime(proxy) {}
  }

  /// Another client cancels ours.
  @Test func ourMigrationIsCancelled() throws {
    let vm = try LiveVM.slow()
    try vm.qemu.execute("migrate-set-parameters", ["max-bandwidth": 0])
    let save = try RunningTool(
      saving: vm.qemu, to: vm.image, ["--engine", "qemu", "--live", "--max-bandwidth", "1M"])
    try save.wait(for: "the migration", every: .milliseconds(1)) {
      let answer = try vm.qemu.execute("query-migrate") as? [String: Any]
      return answer?["status"] as? String == "active"
    }
    // Right behind a batch: a channel that is still writing takes QEMU 10.0.2 down with it, which is no matter of this test.
    var batches: [Int] = []
    try vm.qemu.wait(for: "a batch, and a rest behind it", seconds: 30) {
      usleep(10_000)
      batches.append(try transferredBytes(of: vm.qemu))
      let last = batches.suffix(4)
      return last.count == 4 && last.first != 0 && Set(last.dropFirst()).count == 1
        && last.first != last.last
    }
    try vm.qemu.execute("migrate_cancel")
    #expect(try save.wait() == 69, "\(save.errors)")
    #expect(save.errors.contains("another client cancelled"), "\(save.errors)")
    #expect(try vm.directory.names() == [])
    try vm.qemu.expectGoesOn()
  }

  private func transferredBytes(of qemu: QEMU) throws -> Int {
    let answer = try qemu.execute("query-migrate") as? [String: Any]
    return (answer?["ram"] as? [String: Any])?["transferred"] as? Int ?? 0
  }
}
