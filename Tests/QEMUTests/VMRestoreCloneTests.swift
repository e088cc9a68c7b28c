import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Guests that run on the image itself.
  @Suite struct VMRestoreCloneTests {
    /// Five at once, each of which writes to its memory, leave every byte of the image as it is.
    @Test(arguments: [false, true])
    func fiveGuestsRunOnOneImage(isLive: Bool) throws {
      let vm = try SavedVM(
        Variant("churning").with {
          $0.isLive = isLive
          if isLive { $0.machine = "pc" }
        })
      // The first restore clears stale slots, if there are any.
      if isLive { try expectFive(vm, 1) }
      let before = try Self.sum(vm.image)
      try expectFive(vm, 5)
      #expect(try Self.sum(vm.image) == before)
    }

    private func expectFive(_ vm: SavedVM, _ count: Int) throws {
      guard count > 0 else { return }
      try restoring(
        vm.image, by: .map, into: vm.variant.configuration(in: vm.directory), then: .resume
      ) { restored in
        #expect(restored.way(of: "pc.ram") == .mapped)
        try expectFive(vm, count - 1)
        try restored.expectGuestGoesOn(from: vm.qemu.serial, sum: vm.variant.guest.sum)
      }
    }

    /// Where the image cannot be written to, stale slots stay in it, and zeros are put into the VM.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func imageThatCannotBeWrittenToIsMapped() throws {
      let vm = try SavedVM(Variant("live").with { $0.isLive = true })
      let directory = try TemporaryDirectory()
      try directory.give(to: Unprivileged.nobody)
      let serial = directory.file("serial").string
      let image = directory.file("image")
      try Subprocess.succeed(["cp", "--sparse=always", vm.image.string, image.string])
      try Subprocess.succeed(["chmod", "444", image.string])
      let before = try Self.sum(image)
      let words = try vm.variant.configuration(in: directory).words(in: directory)
      try Subprocess.succeed(["chmod", "644", directory.file("firmware.bin").string])
      let command = try RunningTool(
        prefix: Unprivileged.prefix(),
        ["restore", "--engine", "map", "--then", "resume", image.string, "--"] + words)
      try waitUntil { text(of: FilePath(serial)).utf8.count { $0 == 0x0A } >= 4 }
      command.send(SIGTERM)
      #expect(try command.wait() == 0)
      #expect(command.errors.contains("mapped from the image"))
      let lines = try BootSectorGuest.lines(of: vm.qemu.serial + text(of: FilePath(serial)))
      #expect(lines.map(\.count) == Array(1...UInt32(lines.count)))
      #expect(lines.allSatisfy { $0.sum == vm.variant.guest.sum })
      #expect(try Self.sum(image) == before)
    }

    private static func sum(_ path: FilePath) throws -> String {
      try Subprocess.succeed(["sha256sum", path.string]).text
    }
  }
}
