import Foundation
import LinuxIO
import MappedRAM
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// The program behind `--` starts QEMU and waits for it, as scripts do that have no `exec`.
  @Suite struct VMRestoreScriptTests {
    /// What stands before QEMU's own command line.
    struct Wrapper: Sendable, CustomStringConvertible {
      var description: String
      var words: [String]

      static let script = Wrapper(
        description: "script", words: ["sh", "-c", #""$@"; exit $?"#, "sh"])
      static let all =
        [script, Wrapper(description: "timeout", words: ["timeout", "600"])]
        + (geteuid() == 0
          ? [Wrapper(description: "unshare", words: ["unshare", "--pid", "--fork"])] : [])
    }

    private static func arguments(
      _ vm: SavedVM, in directory: TemporaryDirectory, _ wrapper: Wrapper, _ options: [String],
      changing: (inout [String]) -> Void = { _ in }
    ) throws -> [String] {
      var words = try vm.kind.configuration(in: directory).words(in: directory)
      changing(&words)
      return ["restore"] + options + [vm.image.string, "--"] + wrapper.words + words
    }

    /// QEMU is found behind the program, and its number is the one that is printed.
    @Test(arguments: Wrapper.all, restoreEngines)
    func qemuIsFoundBehindIt(_ wrapper: Wrapper, _ engine: VMRestore.Engine) throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      let result = try Tool.succeedDetaching(
        try Self.arguments(
          vm, in: directory, wrapper,
          [
            "--engine", engine.rawValue, "--detach", "--then", "resume", "--socket",
            "\(directory.file("s"))", "--log", "\(directory.file("log"))",
          ]))
      let fields = result.text.split(whereSeparator: \.isWhitespace)
      let process = try #require(Int32(fields[1]))
      #expect(text(of: FilePath("/proc/\(process)/comm")).hasPrefix("qemu-system"))
      try waitUntil { text(of: directory.file("serial")).utf8.count { $0 == 0x0A } >= 2 }
      _ = try QMPConnection(connecting: directory.file("s")).execute("quit")
      try waitUntil { try processes(naming: directory) == [] }
    }

    /// The VM has less memory than the image: it waits for another image when that is found out.
    @Test(arguments: Wrapper.all, [[], ["--detach"]])
    func nothingIsLeftOfARestoreThatFails(_ wrapper: Wrapper, _ options: [String]) throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      var options = options
      if !options.isEmpty { options += ["--socket", "\(directory.file("s"))"] }
      let result = try Tool.run(
        try Self.arguments(vm, in: directory, wrapper, options) { words in
          if let index = words.firstIndex(of: "8M") { words[index] = "16M" }
        })
      #expect(result.status == 1, "\(result.errors)")
      #expect(try processes(naming: directory) == [])
      #expect(!exists(directory.file("s")))
    }

    /// Killed at many moments, from its start to the guest's going on and behind that.
    @Test(arguments: Wrapper.all)
    func endOfTheCommandIsTheEndOfQEMU(_ wrapper: Wrapper) throws {
      let vm = try SavedVM(VMKind("64 MiB", mebibytes: 64))
      for milliseconds in [5, 20, 40, 60, 80, 120, 200, 600] {
        let directory = try TemporaryDirectory()
        let command = try RunningTool(
          try Self.arguments(
            vm, in: directory, wrapper,
            ["--engine", restoreEngines[milliseconds / 20 % 3].rawValue, "--then", "resume"]))
        Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
        command.send(SIGKILL)
        #expect(try command.wait() == 128 + SIGKILL)
        let deadline = ContinuousClock.now + .seconds(20)
        while try processes(naming: directory) != [], .now < deadline { usleep(5000) }
        #expect(try processes(naming: directory) == [], "after \(milliseconds) ms")
      }
    }

    /// A script that ends by a signal leaves its QEMU, which then goes with the command.
    @Test func endOfTheScriptIsTheEndOfQEMU() throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      let command = try RunningTool(
        try Self.arguments(
          vm, in: directory, .script, ["--engine", "map", "--then", "resume"]))
      try command.wait(for: "the VM", every: .milliseconds(5)) {
        command.errors.contains("Restored ")
      }
      command.send(SIGTERM)
      #expect(try command.wait() == 128 + SIGTERM)
      try waitUntil { try processes(naming: directory) == [] }
    }
  }
}
