import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Restores that do not come to their end: the QEMU that was started is gone, and so is its socket.
  @Suite struct VMRestoreFailureTests {
    /// Device state that QEMU refuses, though the image is well formed: a field that cannot be.
    @Test(arguments: restoreEngines)
    func damagedDeviceStateEndsQEMU(_ engine: VMRestore.Engine) throws {
      let vm = try SavedVM(VMKind("q35"))
      try Self.damage(vm.image)
      let directory = try TemporaryDirectory()
      let result = try Tool.run(
        Self.arguments(vm, engine, in: directory, "--detach", "--log", "\(directory.file("log"))"))
      #expect(result.status != 0 && result.text == "")
      #expect(result.errors.contains("Error: "))
      #expect(!exists(directory.file("s")))
      #expect(try processes(naming: directory) == [])
    }

    /// An image that ends too early is refused before QEMU is started.
    @Test func cutImageIsRefused() throws {
      let vm = try SavedVM(VMKind("q35"))
      try Subprocess.succeed(["truncate", "-s", "-40000", vm.image.string])
      let directory = try TemporaryDirectory()
      let result = try Tool.run(Self.arguments(vm, .place, in: directory, "--detach"))
      #expect(result.status == 65, "\(result.errors)")
      #expect(!exists(directory.file("serial")))
    }

    /// The command is stopped or killed at many moments from its start until after the guest runs.
    @Test(arguments: [SIGKILL, SIGINT])
    func endOfTheCommandIsTheEndOfQEMU(_ signal: CInt) throws {
      let vm = try SavedVM(VMKind("64 MiB", mebibytes: 64))
      for milliseconds in [5, 20, 40, 60, 80, 120, 200] {
        let directory = try TemporaryDirectory()
        let command = try RunningTool(
          Self.arguments(vm, restoreEngines[milliseconds / 20 % 3], in: directory))
        Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
        command.send(signal)
        let status = try command.wait()
        // Once the VM is restored the signal is QEMU's, which ends by it in good order.
        let isRestored = command.errors.contains("Restored ")
        #expect(
          status == (signal == SIGKILL ? 128 + SIGKILL : isRestored ? 0 : 130),
          "after \(milliseconds) ms: \(status) \(command.errors)")
        try waitUntil { try processes(naming: directory) == [] }
      }
    }

    /// A moment at which the VM runs, but the command does not wait for it yet.
    enum LateMoment: String, CaseIterable {
      /// The command listens to signals for itself, and the end of its progress is being written.
      case beforeTheEndOfTheWork = "json"
      /// Nobody listens, and the report is being written.
      case beforeTheVMIsWaitedFor = "none"
    }

    /// A signal that comes when it is too late to stop the restore ends QEMU, and is not lost between the two.
    @Test(arguments: LateMoment.allCases)
    func aSignalAtTheEndOfTheWorkIsNotLost(_ moment: LateMoment) throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      // Where the command is to write, it waits until this is read.
      let errors = try FullPipe()
      let command = try RunningTool(
        Self.arguments(
          vm, .map, in: directory, "--then", "resume", "--progress", moment.rawValue),
        errors: errors.end)
      try command.wait(for: "the guest") { text(of: directory.file("serial")).contains("\n") }
      switch moment {
      case .beforeTheEndOfTheWork:
        try command.wait(for: "the end of the progress") {
          try command.systemCall() == Self.futex && command.threads().contains("progress")
        }
        command.send(SIGINT)
        try command.wait(for: "the one who listens") { try !command.holdsBack(SIGINT) }
      case .beforeTheVMIsWaitedFor:
        try command.wait(for: "the end of the work") { try !command.threads().contains("signals") }
        command.send(SIGINT)
        #expect(try command.holdsBack(SIGINT))
      }
      try errors.empty()
      #expect(try command.wait() == 0)
      let said = try errors.readToEnd()
      let report =
        switch moment {
        case .beforeTheEndOfTheWork: #""type":"report""#
        case .beforeTheVMIsWaitedFor: "Restored "
        }
      #expect(said.contains(report), "\(said)")
      #expect(try processes(naming: directory) == [])
    }

    /// The system call in which a thread waits for another one.
    private static var futex: Int {
      #if arch(arm64)
        98
      #else
        202
      #endif
    }

    private static func arguments(
      _ vm: SavedVM, _ engine: VMRestore.Engine, in directory: TemporaryDirectory,
      _ options: String...
    ) throws -> [String] {
      let socket = options.contains("--detach") ? ["--socket", "\(directory.file("s"))"] : []
      return ["restore", "--engine", engine.rawValue] + options + socket + [vm.image.string, "--"]
        + (try vm.kind.configuration(in: directory).words(in: directory))
    }

    /// Gives the section of the timers a version that no QEMU has.
    private static func damage(_ image: FilePath) throws {
      let file = try File.open(image, access: .readWrite, directIO: .off)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: image.string), options: .mappedIfSafe)
      // QEMU_VM_SECTION_FULL: idstr with its length, instance and version (4 bytes each, big-endian).
      let idstr = Data([5] + Array("timer".utf8))
      let place = try #require(bytes.range(of: idstr, options: .backwards))
      try file.write([0, 0, 0, 99], at: UInt64(place.upperBound + 4))
    }
  }
}
