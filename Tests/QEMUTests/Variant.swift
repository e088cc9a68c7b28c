import SystemPackage
import TestSupport

/// A VM, and a way in which QEMU saves it.
struct Variant: Sendable, CustomStringConvertible {
  let name: String
  var machine = "q35"
  var mebibytes = 8
  /// QEMU's further arguments; `DIR` in them stands for the directory of the test.
  var arguments: [String] = []
  var channels: Int?
  var isDirect = false
  var offset: UInt64 = 0
  var zeroPageDetection: String?
  /// The guest turns pages from data to zero and back, and runs while it is saved.
  var isLive = false
  /// Where blocks stand in guest-physical memory.
  var places: [Place] = []

  /// A part of a block, and where the guest sees it.
  struct Place: Sendable {
    var idstr: String
    var offset: UInt64
    var address: UInt64
    var byteCount: UInt64
  }

  var description: String { name }

  init(_ name: String, machine: String = "q35", mebibytes: Int = 8) {
    self.name = name
    self.machine = machine
    self.mebibytes = mebibytes
    let ram = machine == "microvm" ? "microvm.ram" : "pc.ram"
    places = Self.pc(ram, byteCount: UInt64(mebibytes) << 20)
  }

  /// The memory of a PC whose RAM is one block. Between 640 KiB and 1 MiB the guest sees other things.
  static func pc(_ idstr: String, byteCount: UInt64) -> [Place] {
    [
      Place(idstr: idstr, offset: 0, address: 0, byteCount: 0xA_0000),
      Place(idstr: idstr, offset: 1 << 20, address: 1 << 20, byteCount: byteCount - (1 << 20)),
      Place(idstr: "pc.bios", offset: 0, address: 0xFFFF_0000, byteCount: 0x1_0000),
    ]
  }

  /// The guest of this VM.
  var guest: BootSectorGuest {
    let end = UInt32(mebibytes) << 20
    guard isLive else { return BootSectorGuest(end: end - 0x10_0000, mask: 7, seed: 0x5EED_0000) }
    return BootSectorGuest(end: end / 2, mask: 7, seed: 0x5EED_0000, churn: end / 2..<end)
  }

  /// What starts the VM. Files that `arguments` name go into `directory`.
  func configuration(in directory: TemporaryDirectory) -> QEMU.Configuration {
    var configuration = QEMU.Configuration(guest: guest, mebibytes: mebibytes)
    configuration.machine = machine
    configuration.arguments = arguments.map { argument in
      argument.split(separator: "DIR", omittingEmptySubsequences: false)
        .joined(separator: directory.path.string)
    }
    return configuration
  }

  /// Whether a pc-dimm is a file, which must be there.
  var usesFile: Bool { arguments.contains { $0.contains("DIR/dimm") } }

  /// How QEMU saves it.
  var migration: QEMU.FileMigration {
    var how = QEMU.FileMigration()
    how.channels = channels
    how.isDirect = isDirect
    how.offset = offset
    how.zeroPageDetection = zeroPageDetection
    how.isLive = isLive
    return how
  }

  /// This variant with other values.
  func with(_ change: (inout Variant) -> Void) -> Variant {
    var copy = self
    change(&copy)
    return copy
  }
}

extension Variant {
  /// Main RAM from `backend`, a `-object` of type memory-backend-…, whose id becomes the block's name.
  static func backed(by backend: String, _ name: String) -> Variant {
    Variant(name, machine: "q35,memory-backend=main").with {
      $0.arguments = ["-object", "\(backend),id=main,size=8M"]
      $0.places = pc("main", byteCount: 8 << 20)
    }
  }

  /// Two NUMA nodes and a pc-dimm, of three kinds of backend.
  static let numa = Variant("two NUMA nodes and a pc-dimm").with {
    $0.arguments = [
      "-m", "8M,slots=2,maxmem=1G", "-smp", "2",
      "-object", "memory-backend-memfd,id=n0,size=4M",
      "-object", "memory-backend-ram,id=n1,size=4M",
      "-numa", "node,nodeid=0,cpus=0,memdev=n0", "-numa", "node,nodeid=1,cpus=1,memdev=n1",
      "-object", "memory-backend-file,id=d0,size=8M,mem-path=DIR/dimm,share=on",
      "-device", "pc-dimm,id=dimm0,memdev=d0",
    ]
    $0.places = [
      Place(idstr: "n0", offset: 0, address: 0, byteCount: 0xA_0000),
      Place(idstr: "n0", offset: 1 << 20, address: 1 << 20, byteCount: 3 << 20),
      Place(idstr: "n1", offset: 0, address: 4 << 20, byteCount: 4 << 20),
      Place(idstr: "d0", offset: 0, address: 1 << 32, byteCount: 8 << 20),
    ]
  }

  static let all: [Variant] = [
    Variant("q35"),
    Variant("one channel").with { $0.channels = 1 },
    Variant("two channels, direct").with { ($0.channels, $0.isDirect) = (2, true) },
    Variant("pc, eight channels", machine: "pc").with { $0.channels = 8 },
    Variant("direct, no channels").with { $0.isDirect = true },
    Variant("offset 4096").with { $0.offset = 4096 },
    Variant("offset 1000, two channels, direct", machine: "pc").with {
      ($0.offset, $0.channels, $0.isDirect) = (1000, 2, true)
    },
    Variant("live").with { $0.isLive = true },
    Variant("live, two channels, direct", machine: "pc").with {
      ($0.isLive, $0.channels, $0.isDirect) = (true, 2, true)
    },
    Variant("live at offset 4096, zeros found by the main thread").with {
      ($0.isLive, $0.offset, $0.zeroPageDetection) = (true, 4096, "legacy")
    },
    Variant("zeros not looked for", machine: "microvm", mebibytes: 4).with {
      $0.zeroPageDetection = "none"
    },
    Variant("zeros found by the main thread, two channels").with {
      ($0.channels, $0.zeroPageDetection) = (2, "legacy")
    },
    Variant("zeros found by two channels").with {
      ($0.channels, $0.zeroPageDetection) = (2, "multifd")
    },
    Variant("microvm", machine: "microvm"),
    Variant("four processors").with { $0.arguments = ["-smp", "4"] },
    Variant("64 MiB, two channels, direct", mebibytes: 64).with {
      ($0.channels, $0.isDirect) = (2, true)
    },
    Variant("VGA", machine: "pc").with { $0.arguments = ["-device", "VGA,vgamem_mb=1"] },
    backed(by: "memory-backend-ram", "memory-backend-ram"),
    backed(by: "memory-backend-memfd", "memory-backend-memfd"),
    backed(by: "memory-backend-file,mem-path=DIR/main,share=on", "memory-backend-file, shared"),
    numa,
    numa.with { ($0.channels, $0.isDirect) = (2, true) },
  ]
}
