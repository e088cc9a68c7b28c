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
      let vm = try SavedVM(Variant("q35"))
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
      let vm = try SavedVM(Variant("q35"))
      try Subprocess.succeed(["truncate", "-s", "-40000", vm.image.string])
      let directory = try TemporaryDirectory()
      let result = try Tool.run(Self.arguments(vm, .place, in: directory, "--detach"))
      #expect(result.status == 65, "\(result.errors)")
      #expect(!exists(directory.file("serial")))
    }

    /// The command is stopped or killed at many moments from its start to the guest's going on.
    @Test(arguments: [SIGKILL, SIGINT])
    func endOfTheCommandIsTheEndOfQEMU(_ signal: CInt) throws {
      let vm = try SavedVM(Variant("64 MiB", mebibytes: 64))
      for milliseconds in [5, 20, 40, 60, 80, 120, 200] {
        let directory = try TemporaryDirectory()
        let command = try RunningTool(
          Self.arguments(vm, restoreEngines[milliseconds / 20 % 3], in: directory))
        Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
        command.send(signal)
        let status = try command.wait()
        // Where the guest ran already, QEMU ended by the signal in its own way.
        #expect(
          signal == SIGKILL ? status == 128 + SIGKILL : [0, 130, 128 + SIGINT].contains(status),
          "after \(milliseconds) ms: \(status) \(command.errors)")
        try waitUntil { try processes(naming: directory) == [] }
      }
    }

    /// Signals around the moment at which the VM is ready: they end either the restore or QEMU, and none gets lost between the two.
    @Test func aSignalAtTheEndOfTheWorkIsNotLost() throws {
      let vm = try SavedVM(Variant("64 MiB", mebibytes: 64))
      let clock = ContinuousClock()
      var workTime = Duration.zero
      for half in -30..<30 {
        let directory = try TemporaryDirectory()
        let start = clock.now
        let command = try RunningTool(Self.arguments(vm, .map, in: directory))
        if half % 10 == 0 {
          // How long it takes now; the first is cold.
          try command.wait(for: "the VM") { command.errors.contains("Restored ") }
          workTime = clock.now - start
        } else {
          sleep(for: workTime + .microseconds(half * 500) - (clock.now - start))
        }
        command.send(SIGINT)
        let status = try command.wait()
        #expect([0, 130, 128 + SIGINT].contains(status), "after \(half) half ms")
      }
    }

    private static func arguments(
      _ vm: SavedVM, _ engine: VMRestore.Engine, in directory: TemporaryDirectory,
      _ options: String...
    ) throws -> [String] {
      let socket = options.contains("--detach") ? ["--socket", "\(directory.file("s"))"] : []
      return ["restore", "--engine", engine.rawValue] + options + socket + [vm.image.string, "--"]
        + (try vm.variant.configuration(in: directory).words(in: directory))
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
