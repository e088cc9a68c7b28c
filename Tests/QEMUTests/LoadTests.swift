import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images that we write, loaded by a stock QEMU.
  @Suite struct LoadTests {
    /// An image put together from a restored directory: of a stopped VM, of one with memory in several blocks, and of
    /// running ones, whose stale slots are left out.
    @Test(
      arguments: [
        VMKind("q35"),
        VMKind("four processors") { $0.arguments = ["-smp", "4"] },
        VMKind.numa(),
        VMKind("live", machine: "pc", isLive: true),
        VMKind(
          "live, two channels, direct", isLive: true, migration: .init(channels: 2, isDirect: true)),
      ])
    func imagePutTogetherRunsOn(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      let apart = try vm.takeApart(to: "apart")
      let copy = vm.directory.file("copy.img")
      _ = try ImageSave(SavePlan.ofDirectory(apart.path)).run(to: copy)
      for load in LoadOptions.allCases { try vm.expectRestored(copy, load) }
    }

    /// The same image moved to another place in its file: all offsets are new.
    @Test(arguments: [1000, 4096, 3 << 20] as [UInt64])
    func imageMovedToAnOffsetRunsOn(_ offset: UInt64) throws {
      let vm = try SavedVM(VMKind("microvm", machine: "microvm"))
      let apart = try vm.takeApart(to: "apart")
      let plan = try SavePlan.ofDirectory(apart.path)
      let moved = try SavePlan(
        prologue: plan.prologue, blocks: plan.blocks, tail: plan.tail,
        prefix: .bytes(Array("somebody else's".utf8)), streamOffset: FileOffset(offset),
        for: apart.path)
      let copy = vm.directory.file("moved.img")
      _ = try ImageSave(moved).run(to: copy)
      let read = try ImageDecoderOracle.read(copy, offset: offset)
      #expect(read.streamOffset == offset)
      for load in LoadOptions.allCases { try vm.expectRestored(copy, at: offset, load) }
    }

    /// An image in place of another, longer one.
    @Test func imageWrittenInPlaceRunsOn() throws {
      let vm = try SavedVM(VMKind("microvm", machine: "microvm"))
      let apart = try vm.takeApart(to: "apart")
      let copy = vm.directory.file("copy.img")
      let old = Data(repeating: 0xEE, count: 20 << 20)
      try old.write(to: URL(fileURLWithPath: copy.string))
      _ = try ImageSave(SavePlan.ofDirectory(apart.path)).run(
        to: copy, inPlace: true, replacing: .anything)
      try expectSame(vm.image, copy)
      try vm.expectRestored(copy, .plain)
    }

    /// Raw files, `vmstate.bin` and a machine type, without a manifest.
    @Test(arguments: [VMKind("q35"), VMKind("live", isLive: true)])
    func handmadeImageOfARestoreRunsOn(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      let apart = try vm.takeApart(to: "apart")
      let save = PlanFromFiles(
        machineType: apart.manifest.machineType, blocks: apart.blocks,
        vmstate: apart.path.appending(apart.manifest.vmstateFile))
      let copy = vm.directory.file("copy.img")
      _ = try ImageSave(save.plan()).run(to: copy)
      if !kind.migration.isLive { try expectSame(vm.image, copy) }
      for load in [LoadOptions.plain, .fourChannelsDirect] { try vm.expectRestored(copy, load) }
    }
  }
}
