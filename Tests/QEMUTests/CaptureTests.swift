import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images of a VM that QEMU itself never saved: its memory is read from outside, its device state had by
  /// `xen-save-devices-state`.
  @Suite struct CaptureTests {
    /// The memory is a shared file. The destination has plain memory, whose block has another name. The ROMs are those of
    /// an image of such a VM.
    @Test(arguments: ["q35", "pc", "microvm"])
    func imageOfASharedFileAndDeviceStateRunsOn(machine: String) throws {
      let plain = VMKind("plain", machine: machine)
      let main = try #require(plain.memory.first?.idstr)
      let directory = try TemporaryDirectory()
      let source = try QEMU(
        plain.configuration.with { $0.setMemory(.file("main", isShared: true)) })
      let (type, vmstate) = try stop(source, in: directory)

      let other = try SavedVM(plain)
      let apart = try other.takeApart(to: "apart")
      #expect(apart.manifest.machineType == type)
      let blocks = apart.blocks.map {
        $0.idstr == main ? (main, source.directory.file("main")) : $0
      }
      let save = PlanFromFiles(machineType: type, blocks: blocks, vmstate: vmstate)
      let image = directory.file("captured.img")
      for options in [ChannelOptions(), ChannelOptions(method: .sync, directIO: .off)] {
        _ = try ImageSave(save.plan(directIO: options.directIO), options: options).run(to: image)
        let read = try ImageDecoderOracle.read(image)
        #expect(read.machine == type)
        #expect(read.complete == true)
        #expect(read.blocks?.map(\.idstr) == blocks.map(\.0))
      }
      for load in LoadOptions.allCases {
        try expectRestored(image, as: plain, from: source, load)
      }
    }

    /// The memory is what QEMU itself says it is, by `pmemsave`, in a VM without shared memory.
    @Test func imageOfPrivateMemoryAndDeviceStateRunsOn() throws {
      let other = try SavedVM(VMKind("q35"))
      let apart = try other.takeApart(to: "apart")
      let directory = other.directory
      let source = try QEMU(other.kind.configuration(in: directory))
      let (type, vmstate) = try stop(source, in: directory)
      let memory = directory.file("memory")
      try source.execute("pmemsave", ["val": 0, "size": 8 << 20, "filename": memory.string])
      // There the guest sees ROM; the RAM under it is zero.
      try File.open(memory, access: .readWrite, directIO: .off).punchHole(0xA_0000..<0x10_0000)
      let save = PlanFromFiles(
        machineType: type,
        blocks: apart.blocks.map { $0.idstr == "pc.ram" ? ("pc.ram", memory) : $0 },
        vmstate: vmstate, streamOffset: 4096)
      let image = directory.file("captured.img")
      _ = try ImageSave(save.plan()).run(to: image)
      for load in LoadOptions.allCases {
        try expectRestored(image, at: 4096, as: other.kind, from: source, load)
      }
    }

    /// Lets a guest print a few lines, stops it, and has its machine type and device state.
    private func stop(
      _ source: QEMU, in directory: TemporaryDirectory
    ) throws -> (machineType: String, vmstate: FilePath) {
      try source.waitForGuestLines(3)
      try source.stop()
      let vmstate = directory.file("devices")
      try source.execute("xen-save-devices-state", ["filename": vmstate.string, "live": false])
      let type = try source.execute("qom-get", ["path": "/machine", "property": "type"]) as? String
      let suffix = "-machine"
      try #require(type?.hasSuffix(suffix) == true)
      return (String(try #require(type).dropLast(suffix.count)), vmstate)
    }
  }
}
