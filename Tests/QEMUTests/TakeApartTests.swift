import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images that a stock QEMU writes, taken apart and put together by us.
  @Suite struct TakeApartTests {
    /// Every way in which the channels can work.
    static let options = ChannelOptions.IOMethod.allCases.flatMap { method in
      [DirectIOPolicy.auto, .off].map { ChannelOptions(method: method, directIO: $0) }
    }
    /// One of them for each kind, in turn.
    static let turns = VMKind.savedByQEMU.indices.map { options[$0 % options.count] }

    /// What is restored is what QEMU itself says is in the VM's memory, and what an independent reader
    /// finds in the image; what is put together again is the image itself, or for a live save the image
    /// without its stale slots.
    @Test(arguments: zip(VMKind.savedByQEMU, turns))
    func restoredMemoryIsTheVMs(_ kind: VMKind, _ options: ChannelOptions) throws {
      let vm = try SavedVM(kind)
      #expect(try vm.qemu.status() == "postmigrate")
      let found = try ImageDecoderOracle.read(vm.image, offset: kind.migration.offset)
      let blocks = try #require(found.blocks)
      #expect(blocks.contains { ($0.stale ?? 0) > 0 } == kind.migration.isLive)
      let apart = try takeApart(vm, [options])
      try vm.expectMemory(of: apart)
      #expect(apart.manifest.machineType == found.machine)
      for block in blocks {
        let sum = try Subprocess.succeed(["sha256sum", try apart.file(of: block.idstr).string])
        #expect(sum.text.prefix(64) == block.sha256 ?? "", "\(block.idstr)")
      }
      try putTogether(vm, apart, found, [options])
      #expect(vm.qemu.log == "")
      try vm.qemu.quit()
    }

    /// Ring and positioned calls, direct and buffered: all give the same files.
    @Test(arguments: [VMKind("q35"), VMKind("live", machine: "pc", isLive: true)])
    func everyKindOfIOGivesTheSame(_ kind: VMKind) throws {
      let vm = try SavedVM(kind)
      let apart = try takeApart(vm, Self.options)
      try putTogether(vm, apart, try ImageDecoderOracle.read(vm.image), Self.options)
    }

    /// Takes the image apart with each of `options`: all come to the same. Returns the first.
    private func takeApart(_ vm: SavedVM, _ options: [ChannelOptions]) throws -> Apart {
      let first = try vm.takeApart(to: "apart 0", options[0])
      for (index, option) in options.enumerated().dropFirst() {
        let other = try vm.takeApart(to: "apart \(index)", option)
        #expect(other.outcome.report.method == option.method)
        #expect(other.outcome.files == first.outcome.files)
        for name in first.outcome.files {
          try expectSame(first.path.appending(name), other.path.appending(name))
        }
      }
      return first
    }

    /// Puts the image together with each of `options`.
    private func putTogether(
      _ vm: SavedVM, _ apart: Apart, _ found: FixtureExpectation, _ options: [ChannelOptions]
    ) throws {
      for option in options {
        let copy = vm.directory.file("copy.img")
        let plan = try SavePlan.ofDirectory(apart.path, directIO: option.directIO)
        _ = try ImageSave(plan, options: option).run(to: copy)
        guard vm.kind.migration.isLive else {
          try expectSame(vm.image, copy)
          #expect(try dataMap(copy) == dataMap(vm.image))
          continue
        }
        let read = try ImageDecoderOracle.read(copy, offset: vm.kind.migration.offset)
        #expect(read.blocks?.map(\.sha256) == found.blocks?.map(\.sha256))
        #expect(read.blocks?.map(\.present) == found.blocks?.map(\.present))
        #expect(read.blocks?.allSatisfy { $0.stale == 0 } == true)
        #expect(read.sections.map(\.offset) == found.sections.map(\.offset))
        #expect(read.fileSize == found.fileSize)
      }
    }

    /// The same for a guest of another architecture, whose configuration has page bits.
    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"), arguments: [nil, 2])
    func restoredMemoryIsTheArmVMs(channels: Int?) throws {
      let directory = try TemporaryDirectory()
      var generator = SeededGenerator()
      let blob = directory.file("blob")
      try Data(generator.bytes(1 << 20)).write(to: URL(fileURLWithPath: blob.string))
      var configuration = QEMU.Configuration()
      configuration.program = "qemu-system-aarch64"
      configuration.machine = "virt"
      configuration.mebibytes = 8
      configuration.paused = true
      configuration.arguments = [
        "-device", "loader,file=\(blob.string),addr=0x40300000,force-raw=on",
      ]
      let qemu = try QEMU(configuration)
      let image = directory.file("qemu.img")
      var how = QEMU.FileMigration()
      how.channels = channels
      try qemu.save(to: image, how)

      let apart = directory.file("apart")
      let file = try File.open(image, access: .read)
      _ = try DirectoryRestore(ImageRestore(file), to: apart).run()
      let memory = directory.file("pmemsave")
      try qemu.execute(
        "pmemsave", ["val": 0x4000_0000, "size": 8 << 20, "filename": memory.string])
      try expectSame(memory, apart.appending("mach-virt.ram.ram"))
      try expectSame(blob, memory, skipping: (0, 0x30_0000), count: 1 << 20)
      let copy = directory.file("copy.img")
      _ = try ImageSave(SavePlan.ofDirectory(apart)).run(to: copy)
      try expectSame(image, copy)
      #expect(try dataMap(copy) == dataMap(image))
    }
  }
}
