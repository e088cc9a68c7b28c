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
  /// Images put into memory of other kinds than that of the VM that was saved.
  @Suite struct VMRestoreMemoryTests {
    /// A file that is used a second time: what the image does not have is zero, and not what was there.
    @Test(arguments: [VMRestore.Engine.place, .qemu], ["share=on", "share=off"])
    func oldContentsOfAFileAreGone(engine: VMRestore.Engine, sharing: String) throws {
      let vm = try SavedVM(Self.plain)
      let directory = try TemporaryDirectory()
      let file = directory.file("main")
      try Data(repeating: 0xA5, count: 8 << 20).write(to: URL(fileURLWithPath: file.string))
      try expect(
        vm, engine, in: directory, "memory-backend-file,mem-path=\(file),\(sharing)")
    }

    /// A file of which a little is used: that little is cleared, and the rest stays a hole.
    @Test func littleThatIsThereIsCleared() throws {
      let vm = try SavedVM(Self.plain)
      let directory = try TemporaryDirectory()
      let file = directory.file("main")
      try Data(repeating: 0xA5, count: 8 << 20).write(to: URL(fileURLWithPath: file.string))
      let handle = try File.open(file, access: .readWrite, directIO: .off)
      // In all 64 KiB are left, in the pages that the guest leaves zero among them.
      try handle.punchHole(0..<(2 << 20))
      try handle.punchHole((2 << 20) + (64 << 10)..<(8 << 20))
      try expect(vm, .place, in: directory, "memory-backend-file,mem-path=\(file),share=on")
      // One page in eight is zero.
      var used = 0
      try handle.forEachData(in: 0..<(8 << 20), by: .seek) { used += $0.count }
      #expect(used < 7900 << 10)
    }

    @Test(
      arguments: [
        "memory-backend-memfd,share=on", "memory-backend-memfd,share=off",
        "memory-backend-ram,prealloc=on", "memory-backend-memfd,share=on,prealloc=on",
      ])
    func otherKindsOfMemoryAreFilled(backend: String) throws {
      let vm = try SavedVM(Self.plain)
      for engine in restoreEngines {
        try expect(vm, engine, in: try TemporaryDirectory(), backend)
      }
    }

    @Test(
      .enabled(if: HugePages.isAvailable, "needs root and huge pages"),
      arguments: ["share=on", "share=off"])
    func hugePagesAreFilled(sharing: String) throws {
      let pages = try HugePages(count: 5)
      let vm = try SavedVM(Self.plain)
      for engine in restoreEngines {
        try expect(
          vm, engine, in: try TemporaryDirectory(),
          "memory-backend-memfd,hugetlb=on,hugetlbsize=2M,\(sharing)")
      }
      _ = pages
    }

    /// The memory of a virtio-mem device stays its own: with `map`, too, its block is put in place.
    @Test(arguments: restoreEngines)
    func virtioMemIsPutInPlace(_ engine: VMRestore.Engine) throws {
      let kind = VMKind("virtio-mem") {
        $0.arguments = [
          "-m", "8M,slots=2,maxmem=1G", "-object", "memory-backend-ram,id=vm0,size=64M",
          "-device", "virtio-mem-pci,id=vmem0,memdev=vm0,requested-size=8M",
        ]
      }
      let vm = try SavedVM(kind)
      try restoring(
        vm.image, by: engine, into: kind.configuration(in: vm.directory), then: .pause
      ) { restored in
        #expect(restored.way(of: "0000:00:01.0/vm0") == (engine == .qemu ? .loaded : .placed))
        #expect(
          restored.way(of: "pc.ram")
            == (engine == .map ? .mapped : engine == .place ? .placed : .loaded))
        try restored.expectMemory(of: vm.qemu, at: kind.memory)
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }

    /// A VM with private memory, whose block has a backend's name.
    private static let plain = VMKind.backed(by: "memory-backend-ram", "private")

    /// Fails unless `vm` goes on, in memory from `backend`.
    private func expect(
      _ vm: SavedVM, _ engine: VMRestore.Engine, in directory: TemporaryDirectory,
      _ backend: String
    ) throws {
      let kind = vm.kind
      try restoring(
        vm.image, by: engine,
        into: VMKind.backed(by: backend, "destination").configuration(in: directory),
        in: directory, then: .pause
      ) { restored in
        try restored.expectMemory(of: vm.qemu, at: kind.memory)
        try restored.qmp.execute(.cont)
        try restored.expectGuestGoesOn(from: vm.qemu)
      }
    }
  }
}
