package import SystemPackage

/// Devices and memory of a VM. Devices go by the name `…-device` on microvm, which has no PCI, and `…-pci` elsewhere.
extension QEMU.Configuration {
  /// Where memory comes from.
  package enum Backend: Sendable, Hashable {
    /// Private anonymous memory.
    case ram
    /// A memfd.
    case memfd(isShared: Bool)
    /// A memfd of pages of 2 MiB; see `HugePages`.
    case hugeMemfd(isShared: Bool)
    /// A file of that name in the VM's own directory; it is made when QEMU starts.
    case file(String, isShared: Bool)

    /// The arguments of `-object` for a backend `id`.
    func object(_ id: String, mebibytes: Int) -> String {
      let size = "id=\(id),size=\(mebibytes)M"
      switch self {
      case .ram:
        return "memory-backend-ram,\(size)"
      case .memfd(let isShared):
        return "memory-backend-memfd,\(size),share=\(isShared ? "on" : "off")"
      case .hugeMemfd(let isShared):
        return "memory-backend-memfd,\(size),hugetlb=on,hugetlbsize=2M"
          + ",share=\(isShared ? "on" : "off")"
      case .file(let name, let isShared):
        return "memory-backend-file,\(size),mem-path={directory}/\(name)"
          + ",share=\(isShared ? "on" : "off")"
      }
    }
  }

  /// The ending of the names of virtio devices.
  private var bus: String { machine.hasPrefix("microvm") ? "device" : "pci" }

  /// Gives the main RAM a backend, whose id becomes the name of its RAMBlock.
  package mutating func setMemory(_ backend: Backend, id: String = "main") {
    machine += ",memory-backend=\(id)"
    arguments += ["-object", backend.object(id, mebibytes: mebibytes)]
  }

  /// Splits the main RAM over NUMA nodes, whose blocks are `node0`, `node1`, …; each has as many processors.
  /// - Precondition: the RAM and the processors can be split evenly.
  package mutating func setNodes(_ backends: [Backend]) {
    let count = backends.count
    precondition(mebibytes % count == 0 && processors % count == 0)
    for (node, backend) in backends.enumerated() {
      let first = node * processors / count
      let last = first + processors / count - 1
      arguments += [
        "-object", backend.object("node\(node)", mebibytes: mebibytes / count),
        "-numa", "node,nodeid=\(node),cpus=\(first)-\(last),memdev=node\(node)",
      ]
    }
  }

  /// Leaves room for memory to be plugged in: four slots, up to 1 GiB in all.
  package mutating func addSlots() {
    arguments += ["-m", "\(mebibytes)M,slots=4,maxmem=1G"]
  }

  /// A pc-dimm, whose block is `id`, in the room of `addSlots`.
  package mutating func addDIMM(_ backend: Backend, id: String = "dimm0", mebibytes: Int) {
    arguments += [
      "-object", backend.object(id, mebibytes: mebibytes),
      "-device", "pc-dimm,id=\(id)-device,memdev=\(id)",
    ]
  }

  /// A virtio-mem of up to `mebibytes`, in the room of `addSlots`; its block is `PATH/id`. The guest plugs as much as is
  /// requested.
  package mutating func addVirtioMem(
    _ backend: Backend, id: String = "vmem0", mebibytes: Int, requestedMebibytes: Int
  ) {
    arguments += [
      "-object", backend.object(id, mebibytes: mebibytes),
      "-device",
      "virtio-mem-\(bus),id=\(id)-device,memdev=\(id),requested-size=\(requestedMebibytes)M",
    ]
  }

  /// A virtio-blk disk over the file at `path`; its block node is `disk0`, `disk1`, ….
  ///
  /// QEMU locks the file while the disk is active: from its start or, waiting for an image, from when the guest runs, until a
  /// `migrate` has completed. So two VMs that run need two copies of it.
  package mutating func addDisk(_ path: FilePath, format: String = "raw") {
    let node = "disk\(arguments.count { $0.hasPrefix("virtio-blk") })"
    let file = "\(node)-file"
    arguments += [
      "-blockdev", "driver=file,filename=\(path),node-name=\(file)",
      "-blockdev", "driver=\(format),file=\(file),node-name=\(node)",
      "-device", "virtio-blk-\(bus),drive=\(node)",
    ]
  }

  /// A virtio-net card in a network of its own, where the host is 10.0.2.2.
  package mutating func addNetwork() {
    let id = "net\(arguments.count { $0.hasPrefix("virtio-net") })"
    arguments += [
      "-netdev", "user,id=\(id),restrict=on", "-device", "virtio-net-\(bus),netdev=\(id)",
    ]
  }

  /// A virtio-balloon.
  package mutating func addBalloon() { arguments += ["-device", "virtio-balloon-\(bus)"] }

  /// A VGA card with 1 MiB of its own memory.
  package mutating func addVGA() { arguments += ["-device", "VGA,vgamem_mb=1"] }

  /// This configuration with other values.
  package func with(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    return copy
  }
}

extension QEMU {
  /// Makes an empty disk.
  package static func makeDisk(_ path: FilePath, mebibytes: Int, format: String = "raw") throws {
    try Subprocess.succeed(["qemu-img", "create", "-q", "-f", format, path.string, "\(mebibytes)M"])
  }
}
