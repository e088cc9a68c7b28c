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
  /// QEMU does not answer a command while its VM is saved.
  @Suite struct VMSaveWaitingTests {
    private static let guest = BootSectorGuest(end: 0x60_0000, seed: 0x0A_17ED)
    private let qemu: QEMU
    private let directory: TemporaryDirectory
    private let files: TemporaryDirectory

    init() throws {
      directory = try TemporaryDirectory()
      files = try TemporaryDirectory()
      let other = files.file("other")
      qemu = try QEMU(
        QEMU.Configuration(guest: Self.guest, mebibytes: 8).with {
          $0.arguments += ["-qmp", "unix:\(other),server=on,wait=off"]
        })
      try qemu.waitForGuestLines(2)
    }

    private var image: FilePath { directory.file("vm.img") }
    /// The socket of another client.
    private var other: FilePath { files.file("other") }

    private func save(
      _ rules: [QMPProxy.Rule], _ options: [String]
    ) throws -> (tool: RunningTool, proxy: QMPProxy) {
      let proxy = try QMPProxy(before: qemu, rules)
      return (
        try RunningTool(
          ["save", proxy.socket.string, image.string, "--progress", "none"] + options),
        proxy
      )
    }

    /// Fails unless the guest runs, and there is no image.
    private func expectRunsUnsaved(location: SourceLocation = #_sourceLocation) throws {
      #expect(try directory.names() == [], sourceLocation: location)
      try qemu.wait(for: "the VM", seconds: 40) { try qemu.status() == "running" }
      try qemu.expectGoesOn(sum: Self.guest.sum, location: location)
    }

    /// A command that QEMU never hears of, where the save needs its answer.
    struct Unanswered: CustomStringConvertible, Sendable {
      var engine = VMSave.Engine.capture
      var command: String
      var nth = 1
      var description: String { "\(engine), \(command) \(nth)" }

      static let all = [
        Unanswered(command: "query-status"), Unanswered(command: "query-status", nth: 2),
        Unanswered(command: "stop"), Unanswered(command: "xen-save-devices-state"),
        Unanswered(command: "query-status", nth: 5), Unanswered(engine: .qemu, command: "stop"),
        Unanswered(engine: .qemu, command: "migrate-set-parameters"),
        Unanswered(engine: .qemu, command: "migrate"),
        Unanswered(engine: .qemu, command: "query-migrate", nth: 3),
      ]
    }

    /// The time is over long before QEMU's: the save ends then, and the VM is as it was.
    @Test(arguments: Unanswered.all)
    func theTimeEndsTheWait(_ what: Unanswered) throws {
      let before = try qemu.state()
      let reached = files.file("reached")
      let (tool, proxy) = try save(
        [.init(what.command, nth: what.nth, do: "drop", reached: reached)],
        ["--engine", what.engine.rawValue, "--timeout", "2"])
      let start = ContinuousClock.now
      #expect(try tool.wait() == 75, "\(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(10))
      #expect(exists(reached), "it never came to that")
      #expect(
        tool.errors.hasPrefix("Error: Timed out after 2.00 s (--timeout)"), "\(tool.errors)")
      #expect(try qemu.state() == before)
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// A signal does the same.
    @Test(arguments: ["stop", "xen-save-devices-state"])
    func aSignalEndsTheWait(command: String) throws {
      let reached = files.file("reached")
      let (tool, proxy) = try save(
        [.init(command, do: "drop", reached: reached)], ["--engine", "capture"])
      try tool.wait(for: "the command", every: .milliseconds(5)) {
        exists(reached)
      }
      let start = ContinuousClock.now
      tool.send(SIGINT)
      #expect(try tool.wait() == 130, "\(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(8))
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// Saves `vm`, whose QEMU carries `stop` out at once and answers `seconds` later, and cancels that as soon as it is sent.
    private func cancelledInStop(
      _ vm: QEMU, seconds: Double, _ change: (inout VMSave) -> Void
    ) throws -> (error: VMError?, proxy: QMPProxy) {
      let reached = files.file("reached")
      let proxy = try QMPProxy(
        before: vm, [.init("stop", do: "late", seconds: seconds, reached: reached)])
      let cancellation = Cancellation()
      Thread.detachNewThread {
        let deadline = ContinuousClock.now + .seconds(60)
        while !exists(reached), .now < deadline { usleep(2000) }
        cancellation.cancel()
      }
      var save = VMSave.watched(to: image)
      change(&save)
      let connection = try QMPConnection(connecting: proxy.socket)
      let error = #expect(throws: VMError.self) {
        try save.run(connection, cancellation: cancellation)
      }
      #expect(exists(reached))
      return (error, proxy)
    }

    /// The `stop` that ends the rounds of a live save by QEMU, which has not answered when the save is cancelled: the VM is resumed, here
    /// or, where that takes too long, by the watchdog.
    @Test(arguments: [1.0, 9.0])
    func oneThatDoesNotConvergeIsCancelledInItsStop(seconds: Double) throws {
      let vm = try QEMU(VMKind.busy(BusyGuest.toucher.rawValue).configuration)
      try vm.waitForGuestLines(1)
      let (error, proxy) = try cancelledInStop(vm, seconds: seconds) {
        $0.engine = .qemu
        $0.live = LiveOptions(maximumDowntime: .milliseconds(1), maximumRounds: 4)
      }
      if seconds < 5 { #expect(error == .image(.cancelled)) }
      try vm.wait(for: "the VM", seconds: 40) { try vm.status() == "running" }
      #expect(try directory.names() == [])
      try vm.expectGoesOn()
      withExtendedLifetime(proxy) {}
    }

    /// Where nobody else can take the way back, QEMU is given the time that it needs.
    @Test func withoutAWatchdogTheAnswerIsWaitedFor() throws {
      let (error, _) = try cancelledInStop(qemu, seconds: 7) {
        $0.engine = .capture
        $0.watchdogProgram = "/nowhere"
      }
      #expect(error == .image(.cancelled))
      try expectRunsUnsaved()
    }

    /// QEMU answers nothing on the way back either: the command ends all the same, says so, and leaves the rest to the watchdog.
    @Test func theWayBackIsLeftToTheWatchdog() throws {
      let (tool, proxy) = try save(
        [
          .init("xen-save-devices-state", do: "drop"),
          // The one on the way back.
          .init("query-status", nth: 5, do: "drop"),
        ], ["--engine", "capture", "--timeout", "2", "--json"])
      let start = ContinuousClock.now
      #expect(try tool.wait() == 75, "\(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(15))
      #expect(tool.errors.contains("A watchdog keeps trying"), "\(tool.errors)")
      #expect(tool.output.contains("\"timedOut\""), "\(tool.output)")
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// The watchdog takes over while the way back is gone, and resumes the VM: it is not told of as still paused.
    @Test func theWatchdogTakesOverOnTheWayBack() throws {
      let (tool, proxy) = try save(
        [
          .init("xen-save-devices-state", do: "refuse", seconds: 0.5),
          .init("query-status", nth: 5, seconds: 20),
        ], ["--engine", "capture", "--max-downtime", "2500"])
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(tool.errors.contains("refused by the proxy"), "\(tool.errors)")
      #expect(!tool.errors.contains("paused;"), "\(tool.errors)")
      try expectRunsUnsaved()
      withExtendedLifetime(proxy) {}
    }

    /// Another client resumes the paused VM and pauses it again, and then the command is killed: what is paused now is not the save's. Once
    /// the command has read QEMU's events, and once they wait for it.
    @Test(arguments: [true, false])
    func resumedAndPausedBeforeAKill(areRead: Bool) throws {
      let (tool, proxy) = try save(
        [.init("query-status", nth: 5, seconds: 60, reached: files.file("reached"))],
        ["--engine", "capture"])
      // It has read all pages, and waits for the answer.
      try tool.wait(for: "the end of the pages") { exists(files.file("reached")) }
      #expect(try qemu.status() == "paused")
      if !areRead { tool.send(SIGSTOP) }
      try qemu.resume()
      try qemu.stop()
      usleep(300_000)
      let watchdogs = try tool.watchdogs()
      try #require(watchdogs.count == 1)
      tool.send(SIGKILL)
      _ = try tool.wait()
      try qemu.wait(for: "the watchdog's end", seconds: 60) {
        !exists(FilePath("/proc/\(watchdogs[0])"))
      }
      #expect(try qemu.status() == "paused")
      #expect(try directory.names() == [])
      withExtendedLifetime(proxy) {}
    }

    /// A program that plays a watchdog of another version is not taken for one.
    @Test func aWatchdogOfAnotherVersion() throws {
      let program = files.file("watchdog")
      try Data("#!/bin/sh\nprintf 1 >&0\nsleep 5\n".utf8)
        .write(to: URL(fileURLWithPath: program.string))
      try Subprocess.succeed(["chmod", "+x", program.string])
      var save = VMSave(to: image)
      save.watchdogProgram = program.string
      var warnings: [VMSaveWarning] = []
      _ = try save.run(
        try QMPConnection(connecting: qemu.qmpSocket), onWarning: { warnings.append($0) })
      #expect(warnings == [.noWatchdog(program.string)])
      try qemu.expectGoesOn(sum: Self.guest.sum)
    }

    // MARK: QEMU dies

    /// When QEMU is killed.
    enum Moment: CaseIterable {
      /// While nothing has been changed yet.
      case beforeThePause
      /// Before it hears that it is to write the device state.
      case beforeTheDeviceState
      /// While the pages of the paused VM are read.
      case inThePages
    }

    /// QEMU is killed: that is said, there is no image, and no watchdog is left.
    @Test(arguments: Moment.allCases)
    func killed(_ moment: Moment) throws {
      let reached = files.file("reached")
      let rules: [QMPProxy.Rule] =
        switch moment {
        case .beforeThePause: [.init("query-status", nth: 2, seconds: 20, reached: reached)]
        case .beforeTheDeviceState: [.init("xen-save-devices-state", seconds: 20, reached: reached)]
        case .inThePages: []
        }
      // The pages take eight seconds.
      let (tool, proxy) = try save(
        rules,
        ["--engine", "capture"] + (moment == .inThePages ? ["--max-bandwidth", "1M"] : []))
      var watching: [String] = []
      try tool.wait(for: "the moment", every: .milliseconds(2)) {
        watching = try tool.watchdogs()
        return try watching.count == 1 && (moment == .beforeThePause || qemu.status() == "paused")
          && (moment == .inThePages || exists(reached))
      }
      if moment == .inThePages { usleep(500_000) }
      kill(qemu.processID, SIGKILL)
      let start = ContinuousClock.now
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(ContinuousClock.now - start < .seconds(30))
      #expect(tool.errors.contains("QEMU"), "\(tool.errors)")
      #expect(!tool.errors.contains("paused;"), "\(tool.errors)")
      #expect(try directory.names() == [])
      #expect(!exists(FilePath("/proc/\(watching[0])")))
      withExtendedLifetime(proxy) {}
    }

    // MARK: The limit of bandwidth

    /// A VM that is paused already is saved in one pass, also with --live, and has the limit that was asked for.
    @Test(arguments: [VMSave.Engine.capture, .qemu])
    func aPausedVMIsSavedLiveWithALimit(engine: VMSave.Engine) throws {
      // 27 MiB of its memory are not zero.
      let vm = try QEMU(
        QEMU.Configuration(guest: BootSectorGuest(end: 0x200_0000), mebibytes: 64))
      try vm.waitForGuestLines(1)
      try vm.stop()
      let start = ContinuousClock.now
      try Tool.succeed([
        "save", vm.qmpSocket.string, image.string, "--engine", engine.rawValue, "--live",
        "--max-bandwidth", "10M",
      ])
      #expect(ContinuousClock.now - start > .seconds(1))
    }
  }
}
