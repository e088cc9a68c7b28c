import SystemPackage
import TestSupport

/// A kind of VM: what starts it, where its memory stands, and how QEMU saves it where a test has QEMU do so.
struct VMKind: Sendable, CustomStringConvertible {
  let description: String
  /// What starts it, with its guest.
  let configuration: QEMU.Configuration
  /// How QEMU saves it. If that is live, the guest turns pages from data to zero and back.
  let migration: QEMU.FileMigration
  /// What is RAM for the guest.
  let memory: [Place]
  /// The blocks that a capture reads from a shared file.
  let shared: Set<String>
  /// Whether it needs huge pages.
  let isHuge: Bool

  /// A part of a block, and where the guest sees it.
  struct Place: Sendable {
    var idstr: String
    var offset: UInt64 = 0
    var range: Range<UInt64>
  }

  /// A VM of `mebibytes`.
  ///
  /// - Parameters:
  ///   - main: the block at the beginning of the guest's memory; `nil` for the machine's own.
  ///   - memory: what is RAM, if that is not one block.
  ///   - more: what is RAM besides.
  init(
    _ description: String, machine: String = "q35", mebibytes: Int = 8, isLive: Bool = false,
    migration: QEMU.FileMigration = QEMU.FileMigration(), main: String? = nil,
    memory: [Place]? = nil, more: [Place] = [], shared: Set<String> = [], isHuge: Bool = false,
    _ change: (inout QEMU.Configuration) -> Void = { _ in }
  ) {
    let byteCount = UInt64(mebibytes) << 20
    let end = UInt32(byteCount)
    let guest =
      isLive
      ? BootSectorGuest(end: end / 2, seed: 0x5EED_0000, churn: end / 2..<end)
      : BootSectorGuest(end: end - 0x10_0000, seed: 0x5EED_0000)
    self.description = description
    configuration = QEMU.Configuration(guest: guest, mebibytes: mebibytes).with {
      $0.machine = machine
      change(&$0)
    }
    var migration = migration
    migration.isLive = isLive
    self.migration = migration
    let main = main ?? (machine == "microvm" ? "microvm.ram" : "pc.ram")
    self.memory = (memory ?? Self.pc(main, byteCount: byteCount)) + more
    self.shared = shared
    self.isHuge = isHuge
  }

  /// The memory of a PC whose RAM is one block. Between 640 KiB and 1 MiB the guest sees other things.
  private static func pc(_ idstr: String, byteCount: UInt64) -> [Place] {
    [
      Place(idstr: idstr, range: 0..<0xA_0000),
      Place(idstr: idstr, offset: 1 << 20, range: 1 << 20..<byteCount),
      Place(idstr: "pc.bios", range: 0xFFFF_0000..<0x1_0000_0000),
    ]
  }

  /// Its configuration, with the files that it names in `directory` and not in the VM's own.
  func configuration(in directory: TemporaryDirectory) -> QEMU.Configuration {
    configuration.with {
      $0.arguments = $0.arguments.map {
        $0.replacing("{directory}", with: directory.path.string)
      }
    }
  }

  /// Whether a pc-dimm is a file, which must be there.
  var usesFile: Bool { configuration.arguments.contains { $0.contains("{directory}/dimm") } }
}

extension VMKind {
  /// Main RAM from `backend`, a `-object` of type memory-backend-…, whose id becomes the block's name.
  static func backed(by backend: String, _ name: String) -> VMKind {
    VMKind(name, machine: "q35,memory-backend=main", main: "main") {
      $0.arguments = ["-object", "\(backend),id=main,size=8M"]
    }
  }

  /// Main RAM from `backend`.
  private static func backed(
    _ name: String, by backend: QEMU.Configuration.Backend, shared: Set<String> = [],
    isHuge: Bool = false
  ) -> VMKind {
    VMKind(name, main: "main", shared: shared, isHuge: isHuge) { $0.setMemory(backend) }
  }

  /// Two NUMA nodes and a pc-dimm, of three kinds of backend.
  static func numa(_ migration: QEMU.FileMigration = QEMU.FileMigration()) -> VMKind {
    VMKind(
      "two NUMA nodes and a pc-dimm", migration: migration,
      memory: [
        Place(idstr: "n0", range: 0..<0xA_0000),
        Place(idstr: "n0", offset: 1 << 20, range: 1 << 20..<4 << 20),
        Place(idstr: "n1", range: 4 << 20..<8 << 20),
        Place(idstr: "d0", range: high..<high + (8 << 20)),
      ]
    ) {
      $0.arguments = [
        "-m", "8M,slots=2,maxmem=1G", "-smp", "2",
        "-object", "memory-backend-memfd,id=n0,size=4M",
        "-object", "memory-backend-ram,id=n1,size=4M",
        "-numa", "node,nodeid=0,cpus=0,memdev=n0", "-numa", "node,nodeid=1,cpus=1,memdev=n1",
        "-object", "memory-backend-file,id=d0,size=8M,mem-path={directory}/dimm,share=on",
        "-device", "pc-dimm,id=dimm0,memdev=d0",
      ]
    }
  }

  /// A guest that changes pages all the time, half of them to zero and back: so many MiB of 48.
  static func busy(
    _ mebibytes: UInt32, memory: QEMU.Configuration.Backend? = nil
  ) -> VMKind {
    let end: UInt32 = 48 << 20
    let start = end - mebibytes << 20
    return VMKind("busy", mebibytes: 48, main: memory == nil ? nil : "main") {
      $0.guest = BootSectorGuest(end: start, seed: 0xB0_5E_ED, churn: start..<end)
      if let memory { $0.setMemory(memory) }
    }
  }

  /// Where memory that is plugged in begins.
  static let high: UInt64 = 1 << 32

  /// Kinds of VMs, and the ways in which QEMU saves them.
  static let savedByQEMU: [VMKind] = [
    VMKind("q35"),
    VMKind("one channel", migration: .init(channels: 1)),
    VMKind("two channels, direct", migration: .init(channels: 2, isDirect: true)),
    VMKind("pc, eight channels", machine: "pc", migration: .init(channels: 8)),
    VMKind("direct, no channels", migration: .init(isDirect: true)),
    VMKind("offset 4096", migration: .init(offset: 4096)),
    VMKind(
      "offset 1000, two channels, direct", machine: "pc",
      migration: .init(channels: 2, isDirect: true, offset: 1000)),
    VMKind("live", isLive: true),
    VMKind(
      "live, two channels, direct", machine: "pc", isLive: true,
      migration: .init(channels: 2, isDirect: true)),
    VMKind(
      "live at offset 4096, zeros found by the main thread", isLive: true,
      migration: .init(offset: 4096, zeroPageDetection: "legacy")),
    VMKind(
      "zeros not looked for", machine: "microvm", mebibytes: 4,
      migration: .init(zeroPageDetection: "none")),
    VMKind(
      "zeros found by the main thread, two channels",
      migration: .init(channels: 2, zeroPageDetection: "legacy")),
    VMKind(
      "zeros found by two channels", migration: .init(channels: 2, zeroPageDetection: "multifd")),
    VMKind("microvm", machine: "microvm"),
    VMKind("four processors") { $0.processors = 4 },
    VMKind(
      "64 MiB, two channels, direct", mebibytes: 64, migration: .init(channels: 2, isDirect: true)),
    VMKind("VGA", machine: "pc") { $0.addVGA() },
    backed("private backend", by: .ram),
    backed("memfd", by: .memfd(isShared: true)),
    backed("shared file", by: .file("main", isShared: true)),
    numa(),
    numa(.init(channels: 2, isDirect: true)),
  ]

  /// Kinds of VMs that are captured.
  static let captured: [VMKind] = [
    VMKind("q35"),
    VMKind("pc", machine: "pc"),
    VMKind("microvm", machine: "microvm"),
    VMKind("q35 of 9.2, without SWITCHOVER_START", machine: "pc-q35-9.2"),
    VMKind("three processors, VGA, network, balloon") {
      $0.processors = 3
      $0.addVGA()
      $0.addNetwork()
      $0.addBalloon()
    },
    backed("memfd", by: .memfd(isShared: true), shared: ["main"]),
    backed("private memfd", by: .memfd(isShared: false)),
    backed("private file", by: .file("main", isShared: false)),
    VMKind("-mem-path") { $0.arguments += ["-mem-path", "{directory}"] },
    backed("shared file", by: .file("main", isShared: true), shared: ["main"]),
    VMKind("aux-ram-share", machine: "q35,aux-ram-share=on"),
    VMKind(
      "NUMA nodes of four kinds",
      memory: [
        Place(idstr: "node0", range: 0..<0xA_0000),
        Place(idstr: "node0", offset: 1 << 20, range: 1 << 20..<2 << 20),
        Place(idstr: "node1", range: 2 << 20..<4 << 20),
        Place(idstr: "node2", range: 4 << 20..<6 << 20),
        Place(idstr: "node3", range: 6 << 20..<8 << 20),
      ], shared: ["node1", "node2"]
    ) {
      $0.processors = 4
      $0.setNodes([
        .ram, .memfd(isShared: true), .file("node2", isShared: true),
        .file("node3", isShared: false),
      ])
    },
    VMKind(
      "two pc-dimms",
      more: [
        Place(idstr: "d0", range: high..<high + (16 << 20)),
        Place(idstr: "d1", range: high + (16 << 20)..<high + (48 << 20)),
      ], shared: ["d1"]
    ) {
      $0.addSlots()
      $0.addDIMM(.ram, id: "d0", mebibytes: 16)
      $0.addDIMM(.memfd(isShared: true), id: "d1", mebibytes: 32)
    },
    VMKind("virtio-mem") {
      $0.addSlots()
      $0.addVirtioMem(.ram, mebibytes: 64, requestedMebibytes: 16)
    },
    backed("huge pages, private", by: .hugeMemfd(isShared: false), isHuge: true),
    backed("huge pages, shared", by: .hugeMemfd(isShared: true), shared: ["main"], isHuge: true),
  ]
}
