import Foundation
import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Another client does something with the VM while it is saved.
  @Suite struct VMSaveOthersTests {
    let qemu: QEMU
    let directory: TemporaryDirectory
    private let disk: FilePath

    init() throws {
      directory = try TemporaryDirectory()
      let files = try TemporaryDirectory()
      self.files = files
      disk = files.file("disk")
      try QEMU.makeDisk(disk, mebibytes: 1)
      let (disk, other) = (disk, files.file("other"))
      qemu = try QEMU(
        .small.with {
          $0.addDisk(disk)
          $0.arguments += ["-qmp", "unix:\(other),server=on,wait=off"]
        })
      try qemu.waitForGuestLines(2)
    }

    let files: TemporaryDirectory
    var image: FilePath { directory.file("vm.img") }
    /// The socket of another client.
    var other: FilePath { files.file("other") }

    /// Starts the command on the VM behind a proxy with `rules`.
    func save(
      _ rules: [QMPProxy.Rule], _ options: [String] = []
    ) throws -> (tool: RunningTool, proxy: QMPProxy) {
      let proxy = try QMPProxy(before: qemu, rules)
      return (
        try RunningTool(
          ["save", proxy.socket.string, image.string, "--progress", "none"] + options),
        proxy
      )
    }

    /// Fails unless the guest runs, and there is no image.
    func expectRunsUnsaved(location: SourceLocation = #_sourceLocation) throws {
      #expect(try directory.names() == [], sourceLocation: location)
      #expect(try qemu.status() == "running", sourceLocation: location)
      try qemu.expectGoesOn(location: location)
    }

    func migrationStatus() throws -> String? {
      (try qemu.execute("query-migrate") as? [String: Any])?["status"] as? String
    }

    // MARK: Pauses

    /// Another client resumes a paused VM right before we pause it: it ran, so it runs afterwards.
    @Test(arguments: [["--engine", "capture"], ["--engine", "qemu"]])
    func resumedBeforeThePause(options: [String]) throws {
      try qemu.stop()
      let (tool, proxy) = try save(
        [.init("stop", nth: 1, before: [.init("cont")], over: other)], options)
      #expect(try tool.wait() == 0, "\(tool.errors)")
      #expect(try qemu.status() == "running")
      try qemu.expectGoesOn()
      let file = try File.open(image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .running)
      withExtendedLifetime(proxy) {}
    }

    /// Another client pauses the VM in the rounds of a live save: it stays so.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func pausedInTheRounds(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow()
      try vm.qemu.execute("migrate-set-parameters", ["max-bandwidth": 0])
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image,
        ["--engine", engine.rawValue, "--live", "--max-bandwidth", "100M", "--progress", "json"])
      try save.wait(for: "the rounds", every: .milliseconds(5)) {
        save.errors.contains("\"round\"")
      }
      try vm.qemu.stop()
      #expect(try save.wait() == 0, "\(save.errors)")
      #expect(try vm.qemu.status() == (engine == .capture ? "paused" : "postmigrate"))
      let file = try File.open(vm.image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .paused)
      let nodes = try vm.qemu.state().activeNodes
      #expect(nodes == vm.before.activeNodes)
      try vm.qemu.resume()
      try vm.qemu.expectGoesOn()
    }

    /// Another client resumes a VM that was to stay paused: the image is complete, and the status says that the VM is not as asked.
    @Test func resumedAtTheEnd() throws {
      let (tool, proxy) = try save(
        [.init("query-status", nth: 6, before: [.init("cont")], over: other)],
        ["--engine", "capture", "--then", "pause"])
      #expect(try tool.wait() == 2, "\(tool.errors)")
      #expect(try qemu.status() == "running")
      #expect(try directory.names() == ["vm.img"])
      withExtendedLifetime(proxy) {}
    }

    /// The connection is lost right before `quit`: that is no end of the VM.
    @Test func quitThatNeverArrives() throws {
      let (tool, proxy) = try save(
        [.init("quit", do: "close")], ["--engine", "capture", "--then", "quit"])
      #expect(try tool.wait() == 2, "\(tool.errors)")
      #expect(tool.errors.contains("The image is complete"), "\(tool.errors)")
      #expect(try qemu.status() == "paused")
      withExtendedLifetime(proxy) {}
    }

    /// Another client has migrated the VM away while its image was made durable: it is neither resumed nor ended.
    @Test(arguments: ["resume", "quit"])
    func migratedAwayAtTheEnd(then: String) throws {
      if then == "resume" { try qemu.stop() }
      let (tool, proxy) = try save(
        [
          .init(
            "query-status", nth: 6, seconds: 2,
            before: [.init("migrate", ["uri": "exec:cat >/dev/null"])], over: other)
        ], ["--engine", "capture", "--then", then])
      #expect(try tool.wait() == 2, "\(tool.errors)")
      #expect(tool.errors.contains("\"postmigrate\""), "\(tool.errors)")
      #expect(try qemu.status() == "postmigrate")
      withExtendedLifetime(proxy) {}
    }

    // MARK: A cont that is refused

    /// QEMU refuses to resume the VM for a while: the image comes first, then the error, and the watchdog goes on trying.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func resumingIsRefused(engine: VMSave.Engine) throws {
      let (tool, proxy) = try save(
        [.init("cont", first: 25, do: "refuse")], ["--engine", engine.rawValue, "--json"])
      let start = ContinuousClock.now
      #expect(try tool.wait() == 2, "\(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(30))
      #expect(tool.errors.contains("The image is complete"), "\(tool.errors)")
      #expect(tool.errors.contains("refused by the proxy"), "\(tool.errors)")
      #expect(tool.errors.contains("A watchdog keeps trying"), "\(tool.errors)")
      #expect(tool.output.contains("\"problem\""))
      try Tool.succeed(["inspect", image.string])
      try qemu.wait(for: "the watchdog", seconds: 120) { try qemu.status() == "running" }
      try qemu.expectGoesOn()
      withExtendedLifetime(proxy) {}
    }

    /// The same where the save itself fails, too: nothing is left, and the watchdog resumes the VM.
    @Test func resumingIsRefusedAfterAFailure() throws {
      let (tool, proxy) = try save(
        [
          .init("cont", first: 25, do: "refuse"), .init("xen-save-devices-state", do: "refuse"),
        ], ["--engine", "capture"])
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(tool.errors.contains("A watchdog keeps trying"), "\(tool.errors)")
      try qemu.wait(for: "the watchdog", seconds: 120) { try qemu.status() == "running" }
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    // MARK: Time

    /// The connection breaks in the pause, a new one is made, and then the command is killed: the watchdog makes one of its own.
    @Test func killedAfterANewConnection() throws {
      let (tool, proxy) = try save(
        [
          .init("query-status", nth: 5, do: "close"),
          .init("query-status", nth: 6, seconds: 60, reached: files.file("reached")),
        ], ["--engine", "capture"])
      // It has read all pages, lost the connection, and waits for the answer over the new one.
      try tool.wait(for: "the new connection") { exists(files.file("reached")) }
      #expect(try qemu.status() == "paused")
      tool.send(SIGKILL)
      _ = try tool.wait()
      try qemu.wait(for: "the watchdog", seconds: 40) { try qemu.status() == "running" }
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// The command is stopped, as by Ctrl-Z, while the VM is paused: when its time is over the VM is resumed.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func stoppedInThePause(engine: VMSave.Engine) throws {
      let vm = try LiveVM.slow()
      let save = try RunningTool(
        saving: vm.qemu, to: vm.image,
        ["--engine", engine.rawValue, "--max-downtime", "3000"])
      try save.wait(for: "the pause", every: .milliseconds(1)) {
        try vm.qemu.status() == "paused"
      }
      usleep(50_000)
      save.send(SIGSTOP)
      let start = ContinuousClock.now
      try vm.qemu.wait(for: "the watchdog", seconds: 40) { try vm.qemu.status() == "running" }
      #expect(ContinuousClock.now - start > .seconds(2))
      save.send(SIGCONT)
      #expect(try save.wait() == 69)
      #expect(save.errors.contains("paused for too long"), "\(save.errors)")
      try vm.expectAsBefore(says: engine == .qemu)
    }

    /// The command is stopped in the rounds of a live save by QEMU, which pauses the VM at their end: the watchdog has to resume it.
    @Test func stoppedInTheRounds() throws {
      let save = try RunningTool(
        saving: qemu, to: image, ["--engine", "qemu", "--live", "--max-bandwidth", "2M"])
      try save.wait(for: "the migration", every: .milliseconds(1)) {
        try migrationStatus() == "active"
      }
      save.send(SIGSTOP)
      // Nothing is heard of it for half a minute.
      try qemu.wait(for: "the watchdog", seconds: 90) {
        try migrationStatus() == "cancelled"
          || qemu.status() == "running" && migrationStatus() == "completed"
      }
      save.send(SIGCONT)
      #expect(try save.wait() == 69)
      try qemu.wait(for: "the settings", seconds: 10) {
        let found = try qemu.execute("query-migrate-capabilities") as? [[String: Any]] ?? []
        return found.allSatisfy {
          $0["capability"] as? String != "mapped-ram" || $0["state"] as? Bool == false
        }
      }
      try expectRunsUnsaved()
    }

    /// QEMU pauses the VM at the end of its own live save, and answers nothing any more: the bound holds from the pause on.
    @Test func aLastRoundThatHangs() throws {
      let proxy = try QMPProxy(before: qemu, [.init("query-migrate", nth: 4, seconds: 25)])
      var save = VMSave.watched(to: image)
      save.engine = .qemu
      save.live = LiveOptions(maximumDowntime: .seconds(1), bytesPerSecond: 4 << 20)
      save.maximumDowntime = .seconds(1)
      let start = ContinuousClock.now
      #expect(throws: VMError.pausedTooLong(isResumed: true)) {
        try save.run(try QMPConnection(connecting: proxy.socket))
      }
      #expect(ContinuousClock.now - start < .seconds(15))
      try expectRunsUnsaved()
    }

    /// A device's command that hangs, a bound that is far away, and nothing that moves.
    @Test func aDeviceThatHangs() throws {
      let (tool, proxy) = try save([], ["--device", "x=|sleep 1000", "--max-downtime", "2000"])
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(tool.errors.contains("paused for too long"), "\(tool.errors)")
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// Snapshots of disks are taken back by a watchdog, too.
    @Test func killedWithSnapshots() throws {
      let snapshots = try TemporaryDirectory()
      let before = try qemu.state()
      let (tool, proxy) = try save(
        [.init("query-status", nth: 5, seconds: 60, reached: files.file("reached"))],
        ["--engine", "capture", "--snapshot-disks", snapshots.path.string])
      try tool.wait(for: "the end of the pages") { exists(files.file("reached")) }
      #expect(try qemu.status() == "paused" && snapshots.names().count == 1)
      tool.send(SIGKILL)
      _ = try tool.wait()
      try qemu.wait(for: "the watchdog", seconds: 40) { try snapshots.names() == [] }
      #expect(try qemu.state() == before)
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    // MARK: Sleep

    /// A firmware that puts the machine `pc` to sleep (S3) and waits for its interrupts.
    private static func sleepingFirmware(in directory: TemporaryDirectory) throws -> FilePath {
      var rom = [UInt8](repeating: 0xF4, count: 64 << 10)
      let code: [UInt8] = [
        // The power management function of the PIIX4 (bus 0, device 1, function 3): its ports are at 0x600, and are enabled.
        0x66, 0xB8, 0x40, 0x0B, 0x00, 0x80, 0xBA, 0xF8, 0x0C, 0x66, 0xEF,  // 0xCF8 <- 0x80000B40
        0x66, 0xB8, 0x01, 0x06, 0x00, 0x00, 0xBA, 0xFC, 0x0C, 0x66, 0xEF,  // 0xCFC <- 0x601
        0x66, 0xB8, 0x80, 0x0B, 0x00, 0x80, 0xBA, 0xF8, 0x0C, 0x66, 0xEF,  // 0xCF8 <- 0x80000B80
        0xBA, 0xFC, 0x0C, 0xB0, 0x01, 0xEE,  // 0xCFC <- 1
        // PM1a_CNT: sleep, type 1.
        0xBA, 0x04, 0x06, 0xB8, 0x00, 0x24, 0xEF,
        0xF4, 0xEB, 0xFD,
      ]
      rom.replaceSubrange(0..<code.count, with: code)
      // The first instruction: a jump to F000:0000.
      rom.replaceSubrange(0xFFF0..<0xFFF5, with: [0xEA, 0x00, 0x00, 0x00, 0xF0])
      let file = directory.file("sleep.bin")
      try Data(rom).write(to: URL(fileURLWithPath: file.string))
      return file
    }

    private func sleepingVM() throws -> QEMU {
      let firmware = try Self.sleepingFirmware(in: files)
      let vm = try QEMU(
        .small.with {
          $0.guest = nil
          $0.machine = "pc"
          $0.arguments += ["-bios", firmware.string]
        })
      try vm.wait(for: "sleep", seconds: 20) { try vm.status() == "suspended" }
      return vm
    }

    /// QEMU would not survive being resumed after its own save: it is refused. By capture nothing is in the way.
    @Test(arguments: [[], ["--live"]])
    func asleep(live: [String]) throws {
      let vm = try sleepingVM()
      for engine in ["qemu", "capture"] {
        let result = try Tool.run(
          ["save", vm.qmpSocket.string, "--engine", engine, image.string] + live)
        #expect(result.status == (engine == "qemu" ? 69 : 0), "\(result.errors)")
        #expect(result.errors.contains("\"suspended\"") == (engine == "qemu"))
        #expect(try vm.status() == "suspended")
      }
      try vm.quit()
    }

    /// Asleep under a pause, which cannot be seen from outside: the image is complete, and QEMU is not told to resume the VM.
    @Test(arguments: ["resume", "pause"])
    func asleepUnderAPause(then: String) throws {
      let vm = try sleepingVM()
      try vm.stop()
      let result = try Tool.run(
        ["save", vm.qmpSocket.string, "--engine", "qemu", "--then", then, image.string])
      #expect(result.status == (then == "resume" ? 2 : 0), "\(result.errors)")
      if then == "resume" {
        #expect(result.errors.contains("asleep"), "\(result.errors)")
      }
      #expect(try vm.status() == "postmigrate")
      let file = try File.open(image, access: .read, directIO: .off)
      #expect(try Image(reading: file).runState(in: file) == .paused)
      try vm.quit()
    }

    // MARK: States

    /// A VM that has shut down cannot be resumed, by whatever engine.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func shutDown(engine: VMSave.Engine) throws {
      let vm = try QEMU(
        .small.with {
          $0.arguments += ["-no-reboot", "-action", "shutdown=pause"]
        })
      try vm.waitForGuestLines(1)
      try vm.execute("system_reset")
      try vm.wait(for: "the end", seconds: 20) { try vm.status() == "shutdown" }
      let result = try Tool.run(
        ["save", vm.qmpSocket.string, "--engine", engine.rawValue, "--then", "resume"]
          + [image.string])
      #expect(result.status == 69)
      #expect(result.errors.contains("\"shutdown\""), "\(result.errors)")
      #expect(try vm.status() == "shutdown" && directory.names() == [])
      try vm.quit()
    }

    /// A library's program without the watchdog is told that there is none.
    @Test func withoutAWatchdog() throws {
      var save = VMSave(to: image)
      save.watchdogProgram = "no-such-program"
      var warnings: [VMSaveWarning] = []
      let report = try save.run(
        try QMPConnection(connecting: qemu.qmpSocket), onWarning: { warnings.append($0) })
      #expect(report.stateAfter == "running")
      #expect(warnings == [.noWatchdog("no-such-program")])
    }
  }
}
