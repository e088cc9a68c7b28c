import Foundation
import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images, and memory in shared files, on file systems of several kinds.
  @Suite(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
  struct FileSystemTests {
    /// Saved by both engines, restored by all, in place, apart and together: on each file system as on any other.
    @Test(arguments: MountedFileSystem.Kind.allCases)
    func savedAndRestored(on kind: MountedFileSystem.Kind) throws {
      let place = try MountedFileSystem(kind)
      let configuration = VMShape("shared file") { $0.setMemory(.file("main", isShared: true)) }
      let guest = VMShape.guest
      let source = try QEMU(
        configuration.configuration.with {
          $0.arguments = $0.arguments.map {
            $0.replacing("{directory}/main", with: place.path.appending("main").string)
          }
        })
      try source.waitForGuestLines(2)
      let image = place.path.appending("vm.img")
      let report = try source.saveVM(to: image) { $0.engine = .capture }
      // Memory in a shared file is mapped, whatever the file system calls its device.
      let isShared = report.memory.contains { if case .file = $0.route { true } else { false } }
      #expect(isShared)
      try source.expectGoesOn(sum: guest.sum)
      _ = try source.saveVM(to: image) { $0.inPlace = true }
      _ = try source.saveVM(to: place.path.appending("qemu.img")) { $0.engine = .qemu }
      let lines = try source.guestLines().count
      #expect(lines > 2)
      let paused = place.path.appending("last.img")
      _ = try source.saveVM(to: paused) { $0.afterwards = .pause }
      let before = source.serial
      for engine in restoreEngines {
        try restoring(
          paused, by: engine, into: VMShape("private") { $0.setMemory(.ram) }.configuration,
          then: .resume
        ) { restored in
          if engine == .map { #expect(restored.way(of: "main") == .mapped) }
          try restored.expectGuestGoesOn(from: before, sum: guest.sum)
        }
      }
      let apart = place.path.appending("apart")
      try Tool.succeed(["unpack", image.string, apart.string])
      let copy = place.path.appending("copy.img")
      try Tool.succeed(["pack", apart.string, copy.string])
      try Tool.succeed(["compact", copy.string])
      let again = place.path.appending("again")
      try Tool.succeed(["unpack", copy.string, again.string])
      try Subprocess.succeed(["diff", "-r", apart.string, again.string])
    }
  }
}
