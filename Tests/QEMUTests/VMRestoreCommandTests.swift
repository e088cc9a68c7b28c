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
  /// The built command, with a QEMU that it starts.
  @Suite struct VMRestoreCommandTests {
    /// It prints the process and the socket, and returns; the VM stays, and is reached at the socket.
    @Test(arguments: restoreEngines)
    func detachedVMStays(_ engine: VMRestore.Engine) throws {
      let vm = try SavedVM(VMKind("q35"))
      let image = vm.image
      let directory = try TemporaryDirectory()
      let result = try Tool.succeedDetaching(
        [
          "restore", "--engine", engine.rawValue, "--detach", "--socket", "\(directory.file("s"))",
          "--log", "\(directory.file("log"))", image.string, "--",
        ] + vm.kind.configuration(in: directory).words(in: directory))
      let fields = result.text.split(whereSeparator: \.isWhitespace)
      let process = try #require(Int32(fields[1]))
      defer { kill(process, SIGKILL) }
      #expect(
        result.text == "pid     \(process)\nsocket  \(directory.file("s"))\n"
          + "log     \(directory.file("log"))\n")
      let qmp = try QMPConnection(connecting: directory.file("s"))
      let state = try qmp.execute("query-status")["status"]?.string
      #expect(state == "paused")
      _ = try qmp.execute("cont")
      try waitUntil { text(of: directory.file("serial")).utf8.count { $0 == 0x0A } >= 2 }
      _ = try qmp.execute("quit")
      // It has no parent of ours; an ended one that nobody has waited for has no arguments.
      try waitUntil { text(of: FilePath("/proc/\(process)/cmdline")).isEmpty }
      #expect(!exists(directory.file("s")))
    }

    /// Without --log, what it says when the command has returned is in a log that this has made; one of a restore that fails goes with it.
    @Test func whatADetachedVMSaysLaterIsNotLost() throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      let words = try vm.kind.configuration(in: directory).words(in: directory)
      let socket = directory.file("s").string
      let arguments = ["restore", "--detach", "--socket", socket, vm.image.string, "--"] + words
      let refused = try Tool.run(
        arguments + ["-device", "nosuch"],
        environment: ["XDG_RUNTIME_DIR": directory.path.string])
      #expect(refused.errors.contains("'nosuch' is not a valid device model name"))
      #expect(try Self.logs(in: directory) == [])
      let result = try Tool.succeedDetaching(arguments)
      let fields = result.text.split(whereSeparator: \.isWhitespace).map(String.init)
      let process = try #require(Int32(fields[1]))
      #expect(fields[4] == "log")
      let log = FilePath(fields[5])
      defer { try? FileManager.default.removeItem(atPath: log.string) }
      #expect(exists(log))
      kill(process, SIGTERM)
      try waitUntil { text(of: log).contains("terminating on signal 15") }
    }

    private static func logs(in directory: TemporaryDirectory) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: directory.path.string).filter {
        $0.hasSuffix(".log")
      }
    }

    /// In the foreground it ends as QEMU does, once that is told to quit.
    @Test func foregroundVMHasTheSerialPortAndItsStatusIsOurs() throws {
      let vm = try SavedVM(VMKind("q35"))
      let image = vm.image
      let directory = try TemporaryDirectory()
      let command = try RunningTool(
        ["restore", "--engine", "map", "--then", "resume", image.string, "--"]
          + Self.words(vm, in: directory, serial: "stdio")
          + ["-qmp", "unix:\(directory.file("own")),server=on,wait=off"])
      try waitUntil { command.output.utf8.count { $0 == 0x0A } >= 3 }
      // The user's own monitor is there beside ours.
      let qmp = try QMPConnection(connecting: directory.file("own"))
      #expect(try qmp.execute("query-status")["status"]?.string == "running")
      // Ours is over: nobody would read its events.
      try waitUntil {
        let devices = try qmp.execute("query-chardev").elements ?? []
        let control = devices.first { $0["label"]?.string == "mapped-ram-control" }
        return control?["filename"]?.string?.hasPrefix("disconnected:") == true
      }
      _ = try qmp.execute("quit")
      #expect(try command.wait() == 0)
      let lines = try BootSectorGuest.lines(of: vm.qemu.serial + command.output)
      #expect(lines.map(\.count) == Array(1...UInt32(lines.count)))
      #expect(command.errors.contains("Restored \(image) by map"))
    }

    /// QEMU ends in its own way on these signals: it says so, with status 0.
    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func signalsGoToQEMU(_ signal: CInt) throws {
      let vm = try SavedVM(VMKind("q35"))
      let image = vm.image
      let directory = try TemporaryDirectory()
      let command = try RunningTool(
        ["restore", "--then", "resume", image.string, "--"]
          + Self.words(vm, in: directory, serial: "stdio"))
      try waitUntil { command.output.utf8.count { $0 == 0x0A } >= 2 }
      command.send(signal)
      #expect(try command.wait() == 0)
      #expect(command.errors.contains("terminating on signal \(signal)"))
    }

    /// `-S` is as good as `--then pause`, and `--then` has the last word.
    @Test(arguments: [([], "paused"), (["--then", "resume"], "running")] as [([String], String)])
    func userMayKeepTheProcessorsStopped(options: [String], state: String) throws {
      let live = try SavedVM(VMKind("live", isLive: true))
      let directory = try TemporaryDirectory()
      let command = try RunningTool(
        ["restore", "--engine", "map"] + options + [live.image.string, "--"]
          + Self.words(live, in: directory, serial: "null")
          + ["-S", "-qmp", "unix:\(directory.file("own")),server=on,wait=off"])
      try waitUntil { command.errors.contains("Restored") }
      let qmp = try QMPConnection(connecting: directory.file("own"))
      #expect(try qmp.execute("query-status")["status"]?.string == state)
      _ = try qmp.execute("quit")
      #expect(try command.wait() == 0)
    }

    /// QEMU's own words are there, and its end is told.
    @Test func argumentsThatQEMURefusesAreTold() throws {
      let vm = try SavedVM(VMKind("q35"))
      let image = vm.image
      let qemu = ["qemu-system-x86_64", "-m", "8M", "-device", "nosuch"]
      let foreground = try Tool.run(["restore", image.string, "--"] + qemu)
      #expect(foreground.status == 69)
      #expect(foreground.errors.contains("'nosuch' is not a valid device model name"))
      #expect(
        foreground.errors.contains("QEMU ended (status 1) before it could load the image."))
      let directory = try TemporaryDirectory()
      let socket = directory.file("s")
      let detached = try Tool.run(
        ["restore", "--detach", "--socket", socket.string, image.string, "--"] + qemu)
      #expect(detached.status == 69 && detached.text == "")
      #expect(detached.errors.contains("'nosuch' is not a valid device model name"))
      #expect(!exists(socket))
    }

    /// The arguments for the VM, whose serial port is `serial`.
    static func words(
      _ vm: SavedVM, in directory: TemporaryDirectory, serial: String
    ) throws -> [String] {
      var words = try vm.kind.configuration(in: directory).words(in: directory)
      let index = try #require(words.firstIndex(of: "-serial"))
      words[index + 1] = serial
      return words
    }
  }
}
