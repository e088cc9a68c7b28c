import LinuxIO
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What a running QEMU says of itself.
  @Suite struct RunningVMTests {
    /// What `change` starts, seen through the second socket.
    func facts(_ change: (inout QEMU.Configuration) -> Void) throws -> (QEMU, RunningVM) {
      var configuration = QEMU.Configuration()
      change(&configuration)
      let qemu = try QEMU(configuration)
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      return (qemu, try RunningVM(asking: connection))
    }

    @Test(arguments: ["pc", "q35", "microvm"])
    func plainMachines(machine: String) throws {
      let (qemu, vm) = try facts {
        $0.machine = machine
        $0.arguments = ["-smp", "2", "-name", "guest one", "-device", "virtio-vga"]
        if machine == "microvm" { $0.arguments.removeLast(2) }
      }
      #expect(vm.machineType.contains(machine == "pc" ? "pc-i440fx-" : machine))
      #expect(vm.target == "x86_64" && vm.name == "guest one" && vm.uuid == nil)
      #expect(vm.runState == .running && vm.processorThreads.count == 2)
      #expect(vm.peerProcessID == qemu.processID)
      let main = try #require(vm.blocks.first { $0.idstr.hasSuffix(".ram") })
      #expect(main.usedLength == ByteCount(16 << 20) && main.maxLength == main.usedLength)
      #expect(main.isReadOnly == false && main.pageBytes == 4096)
      #expect(vm.backend(of: main)?.kind == "memory-backend-ram")
      #expect(vm.backend(of: main)?.isShared == false)
      let tables = try #require(vm.blocks.first { $0.idstr == "/rom@etc/acpi/tables" })
      #expect(tables.usedLength < tables.maxLength)
      #expect(vm.blocks.contains { $0.idstr.hasSuffix("/vga.vram") } == (machine != "microvm"))
      #expect(vm.obstacles.isEmpty && vm.disks.isEmpty)
      #expect(vm.capabilities["mapped-ram"] == false)
      #expect(vm.parameters["multifd-channels"] != nil)
      // In the order of a stream: by length.
      #expect(vm.blocks.map(\.maxLength) == vm.blocks.map(\.maxLength).sorted(by: >))
    }

    /// Whoever asks less is told less, and of the rest the same.
    @Test func whatIsNotAskedForIsEmpty() throws {
      let (qemu, all) = try facts { $0.arguments = ["-name", "guest"] }
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      var expected = all
      (expected.name, expected.processorThreads, expected.backends) = (nil, [], [])
      expected.parameters = [:]
      #expect(try RunningVM(asking: connection, for: []) == expected)
      expected.parameters = all.parameters
      expected.processorThreads = all.processorThreads
      #expect(try RunningVM(asking: connection, for: [.processors, .parameters]) == expected)
    }

    @Test(.enabled(if: RealQEMU.hasArm, "needs qemu-system-aarch64"))
    func armVirt() throws {
      let (_, vm) = try facts {
        $0.program = "qemu-system-aarch64"
        $0.machine = "virt"
        $0.arguments = ["-cpu", "cortex-a57"]
      }
      #expect(vm.target == "aarch64" && vm.machineType.hasPrefix("virt-"))
      #expect(vm.obstacles.isEmpty)
      let main = try #require(vm.blocks.first { $0.idstr == "mach-virt.ram" })
      #expect(vm.backend(of: main)?.id == "mach-virt.ram")
    }

    /// Blocks are matched with the backends they are made of, whatever their names are.
    @Test func backendsOfAllKinds() throws {
      let directory = try TemporaryDirectory()
      let dimm = directory.file("dimm")
      let (_, vm) = try facts {
        $0.mebibytes = 8
        $0.arguments = [
          "-m", "8M,slots=3,maxmem=1G", "-smp", "2",
          "-object", "memory-backend-memfd,id=n0,size=4M",
          "-object", "memory-backend-ram,id=n1,size=4M,x-use-canonical-path-for-ramblock-id=on",
          "-numa", "node,nodeid=0,cpus=0,memdev=n0", "-numa", "node,nodeid=1,cpus=1,memdev=n1",
          "-object", "memory-backend-file,id=d0,size=8M,mem-path=\(dimm),share=on",
          "-device", "pc-dimm,id=dimm0,memdev=d0",
          "-object", "memory-backend-ram,id=m0,size=64M",
          "-device", "virtio-mem-pci,id=vmem0,memdev=m0,requested-size=8M",
          "-object", "memory-backend-ram,id=unused,size=1M,prealloc=on",
        ]
      }
      var found: [String: MemoryBackend] = [:]
      for block in vm.blocks { found[block.idstr] = vm.backend(of: block) }
      #expect(
        found.mapValues(\.id) == [
          "n0": "n0", "/objects/n1": "n1", "d0": "d0", "0000:00:01.0/m0": "m0",
        ])
      #expect(found["n0"]?.kind == "memory-backend-memfd" && found["n0"]?.isShared == true)
      #expect(found["d0"]?.file == dimm.string && found["d0"]?.isShared == true)
      #expect(found["d0"]?.fileOffset == 0)
      #expect(found["0000:00:01.0/m0"]?.isShared == false)
      #expect(vm.namelessBlocks.map(\.usedLength) == [ByteCount(1 << 20)])
      #expect(vm.memoryDevices.map(\.kind).sorted() == ["dimm", "virtio-mem"])
      #expect(Set(vm.memoryDevices.map(\.backend)) == ["d0", "m0"])
      #expect(vm.ramByteCount > ByteCount(80 << 20))
    }

    @Test func disksOfAllKinds() throws {
      let directory = try TemporaryDirectory()
      let raw = directory.file("raw")
      try Subprocess.succeed(["truncate", "-s", "1M", raw.string])
      let (_, vm) = try facts {
        $0.arguments = [
          "-blockdev", "driver=file,filename=\(raw),node-name=f0",
          "-blockdev", "driver=raw,file=f0,node-name=r0",
          "-device", "virtio-blk,drive=r0,id=disk0",
          "-blockdev", "driver=null-co,node-name=n0,read-only=on",
          "-device", "virtio-blk,drive=n0,id=disk1",
          "-drive", "if=none,id=d2,driver=null-co", "-device", "virtio-blk,drive=d2",
          "-device", "ide-cd",
        ]
      }
      #expect(vm.disks.count == 4)
      let disk = try #require(vm.disks.first { $0.medium?.node == "r0" })
      #expect(disk.drive == nil && disk.device?.contains("disk0") == true)
      #expect(disk.medium?.file == raw.string && disk.medium?.driver == "raw")
      #expect(disk.medium?.virtualByteCount == 1 << 20 && disk.medium?.isActive == true)
      #expect(vm.writableDisks.count == 2)
      #expect(vm.writableDisks.contains { $0.drive == "d2" })
      #expect(vm.disks.count { $0.medium == nil && $0.isRemovable } == 1)
    }

    /// QEMU 10.0.2 would crash if it were asked for the state of these devices. (nvme can migrate from 11 on.)
    @Test func devicesThatCannotMigrateAreObstacles() throws {
      let (_, vm) = try facts {
        $0.arguments = ["-device", "nvme,serial=1", "-device", "amd-iommu"]
      }
      let reasons = vm.obstacles.map(\.description)
      let hasNVMe = vm.version < QEMUVersion(11, 0, 0)
      #expect(vm.obstacles.count == (hasNVMe ? 2 : 1))
      #expect(reasons.contains { $0.contains("amd-iommu") })
      #expect(reasons.contains { $0.contains("nvme") } == hasNVMe)
    }

    @Test func capabilitiesThatNeedQEMUAreObstacles() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      #expect(try connection.captureObstacles().isEmpty)
      try connection.execute(.setMigrationCapabilities(["dirty-bitmaps": true]))
      #expect(try connection.captureObstacles() == [.capability("dirty-bitmaps")])
    }

    /// At 1000 bytes a second, a migration is under way until it is cancelled.
    @Test func aMigrationUnderWayIsAnObstacle() throws {
      let qemu = try QEMU(.init())
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      try connection.execute(.setMigrationParameters(["max-bandwidth": 1000]))
      try connection.execute(.migrate(uri: "exec:cat >/dev/null"))
      let obstacles = try connection.captureObstacles()
      guard obstacles.count == 1, case .migrating(let status) = obstacles[0], !status.isOver else {
        Issue.record("\(obstacles)")
        return
      }
      try connection.execute(.migrateCancel)
      try qemu.wait(for: "the cancellation") { try connection.captureObstacles().isEmpty }
    }

    @Test(
      .enabled(
        if: (try? Subprocess.run(["qemu-system-s390x", "--version"]).status) == 0
          && (try? Subprocess.run(["qemu-system-ppc64", "--version"]).status) == 0,
        "needs qemu-system-s390x and qemu-system-ppc64"),
      arguments: [("s390x", "s390-ccw-virtio"), ("ppc64", "pseries")])
    func iterableStateIsAnObstacle(target: String, machine: String) throws {
      let (_, vm) = try facts {
        $0.program = "qemu-system-\(target)"
        $0.machine = machine
        $0.mebibytes = 256
        $0.paused = true
      }
      #expect(vm.obstacles == [.iterableState(target: target, machineType: vm.machineType)])
      #expect(vm.machineType.hasPrefix(machine))
    }

    /// A disk goes on in an overlay; the job that merges it back ends when it is told to.
    @Test func disksAreSnapshotAndMerged() throws {
      let directory = try TemporaryDirectory()
      let raw = directory.file("raw")
      let overlay = directory.file("overlay")
      try Subprocess.succeed(["truncate", "-s", "1M", raw.string])
      var configuration = QEMU.Configuration()
      configuration.arguments = [
        "-blockdev", "driver=file,filename=\(raw),node-name=f0",
        "-blockdev", "driver=raw,file=f0,node-name=r0", "-device", "virtio-blk,drive=r0",
      ]
      let qemu = try QEMU(configuration)
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      func top() throws -> Disk.Medium? { try connection.execute(.queryBlock).first?.medium }
      try Subprocess.succeed(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", raw.string, "-F", "raw", overlay.string])
      try connection.execute(
        .snapshot([DiskSnapshot(node: "r0", file: overlay.string, newNode: "o0")]))
      #expect(try top()?.node == "o0")
      #expect(try top()?.file == overlay.string)
      try connection.execute(.blockCommit(job: "j", device: "o0", baseNode: "r0"))
      #expect(try connection.execute(.queryBlockJobs).map(\.id) == ["j"])
      #expect(
        try connection.waitForEvent(["BLOCK_JOB_READY"], deadline: .now + .seconds(30)) != nil)
      #expect(try connection.execute(.queryBlockJobs).first?.isReady == true)
      try connection.execute(.blockJobComplete("j"))
      #expect(
        try connection.waitForEvent(["BLOCK_JOB_COMPLETED"], deadline: .now + .seconds(30)) != nil)
      #expect(try top()?.node == "r0")
      #expect(try connection.execute(.queryBlockJobs).isEmpty)
    }
  }
}
