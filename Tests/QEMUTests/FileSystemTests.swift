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
      let memory = "memory-backend-file,mem-path=\(place.path.appending("main")),share=on"
      let source = try QEMU(VMKind.backed(by: memory, "shared file").configuration)
      try source.waitForGuestLines(2)
      let image = place.path.appending("vm.img")
      let report = try source.saveVM(to: image) { $0.engine = .capture }
      // Memory in a shared file is mapped, whatever the file system calls its device.
      let isShared = report.memory.contains { if case .file = $0.route { true } else { false } }
      #expect(isShared)
      try source.expectGoesOn()
      _ = try source.saveVM(to: image) { $0.inPlace = true }
      _ = try source.saveVM(to: place.path.appending("qemu.img")) { $0.engine = .qemu }
      let lines = try source.guestLines().count
      #expect(lines > 2)
      let paused = place.path.appending("last.img")
      _ = try source.saveVM(to: paused) { $0.afterwards = .pause }
      for engine in restoreEngines {
        try restoring(
          paused, by: engine,
          into: VMKind.backed(by: "memory-backend-ram", "private").configuration,
          then: .resume
        ) { restored in
          if engine == .map { #expect(restored.way(of: "main") == .mapped) }
          try restored.expectGuestGoesOn(from: source)
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
