import Foundation
import Glibc
import LinuxIO
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Something goes wrong in the conversation with a QEMU that was started for a restore by map.
  @Suite struct VMRestoreDisturbedTests {
    /// All that is asked, in its order.
    static let commands = [
      "qmp_capabilities", "query-target", "qom-get", "query-status", "query-migrate-capabilities",
      "query-migrate", "qom-list", "x-query-ramblock", "xen-save-devices-state",
      "migrate-incoming", "cont", "remove-fd",
    ]

    /// The restore fails with an error that says what, QEMU is gone, and the image is as it was, with no lock on it.
    @Test(arguments: commands, ["close", "kill", "refuse"])
    func nothingIsLeft(_ command: String, _ action: String) throws {
      try expectNothingIsLeft(QMPProxy.Rule(command, do: action))
    }

    /// What is asked again: how far the load is, and the VM's state at the end.
    @Test(arguments: ["query-migrate", "query-status"], ["close", "kill", "refuse"])
    func nothingIsLeftLater(_ command: String, _ action: String) throws {
      try expectNothingIsLeft(QMPProxy.Rule(command, nth: 2, do: action))
    }

    private func expectNothingIsLeft(_ rule: QMPProxy.Rule) throws {
      let vm = try SavedVM(VMKind("q35"))
      let directory = try TemporaryDirectory()
      let before = try Data(contentsOf: URL(fileURLWithPath: vm.image.string))
      let result = try Self.restore(vm, [rule], in: directory)
      try #expect(Data(contentsOf: URL(fileURLWithPath: vm.image.string)) == before)
      if rule.do == "refuse", Self.optional.contains(rule.command) {
        #expect(result.status == 0, "\(result.errors)")
        #expect(!Self.canBeLocked(vm.image))
        _ = try QMPConnection(connecting: directory.file("s")).execute("quit")
      } else {
        #expect(result.status == 69, "\(result.errors)")
        #expect(result.errors.contains(#""kind":"unavailable""#), "\(result.errors)")
      }
      try waitUntil { try processes(naming: directory) == [] }
      try waitUntil { Self.canBeLocked(vm.image) }
      #expect(!exists(directory.file("s")))
    }

    /// The devices are not compared where QEMU does not tell them; a file that it keeps does no harm.
    private static let optional = ["xen-save-devices-state", "remove-fd"]

    /// Restores `vm` into a QEMU that is started, with a proxy that goes by `rules` between the two.
    private static func restore(
      _ vm: SavedVM, _ rules: [QMPProxy.Rule], in directory: TemporaryDirectory
    ) throws -> Subprocess {
      try Tool.runDetaching(
        [
          "restore", "--engine", "map", "--then", "resume", "--detach", "--progress", "json",
          "--socket", "\(directory.file("s"))", "--log", "\(directory.file("log"))",
          vm.image.string, "--",
        ] + QMPProxy.words(rules) + vm.kind.configuration(in: directory).words(in: directory))
    }

    /// Whether nobody has a lock on `image`.
    private static func canBeLocked(_ image: FilePath) -> Bool {
      guard let file = try? File.open(image, access: .read, directIO: .off) else { return false }
      defer { withExtendedLifetime(file) {} }
      return flock(file.bufferedDescriptor, LOCK_EX | LOCK_NB) == 0
    }
  }
}
