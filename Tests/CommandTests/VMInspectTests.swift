import ArgumentParser
import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands
@testable import QEMUControl

/// What `inspect` shows of a VM, for people as files in Snapshots/ (`SNAPSHOT_UPDATE=1` writes them anew), and for programs.
@Suite struct VMInspectTests {
  private var ram: GuestBlock {
    GuestBlock(
      idstr: "main", usedLength: ByteCount(4 << 30), maxLength: ByteCount(4 << 30),
      hostAddress: 0x7f00_0000_0000)
  }

  private var vm: RunningVM {
    let disk = Disk.Medium(
      node: "disk0", file: "/vm/disk.qcow2", driver: "qcow2", isReadOnly: false, isActive: true,
      virtualByteCount: 20 << 30)
    let table = GuestBlock(
      idstr: "/rom@etc/acpi/tables", usedLength: ByteCount(128 << 10),
      maxLength: ByteCount(2 << 20), hostAddress: 0x7e00_0000_0000)
    let dimm = GuestBlock(
      idstr: "dimm0", usedLength: ByteCount(1 << 30), maxLength: ByteCount(1 << 30),
      hostAddress: 0x7d00_0000_0000, pageBytes: 2 << 20)
    return RunningVM(
      version: QEMUVersion(10, 0, 2), name: "web1", uuid: nil,
      isManagedByLibvirt: false, target: "x86_64",
      machineType: "pc-q35-10.0", runState: .running, processorThreads: [11, 12],
      peerProcessID: 10, peerUserID: 0, blocks: [ram, dimm, table], namelessBlocks: [],
      backends: [
        MemoryBackend(
          id: "main", kind: "memory-backend-file", byteCount: ByteCount(4 << 30), isShared: true,
          file: "/dev/shm/web1")
      ], memoryDevices: [],
      disks: [
        Disk(drive: nil, device: "vda", isRemovable: false, medium: disk),
        Disk(drive: "cd0", device: nil, isRemovable: true, medium: nil),
      ],
      capabilities: ["mapped-ram": true, "multifd": false, "x-ignore-shared": false],
      parameters: [:],
      migration: MigrationInfo(status: .completed, blockedReasons: []), obstacles: [])
  }

  /// A VM whose process lets itself be read.
  var open: VMInspection {
    let inode = MappedFileIdentity(major: 0, minor: 1, number: 2)
    let memory = [
      VMInspection.Block(
        vm.blocks[0], backend: vm.backends[0],
        backing: .sharedFile(inode, offset: 0, path: "/dev/shm/web1"),
        route: .file("/dev/shm/web1"), presentBytes: 700 << 20, savedBytesAtMost: 700 << 20),
      VMInspection.Block(
        vm.blocks[1],
        backing: .privateFile(inode, offset: 0, path: "/memfd:dimm0 (deleted)"), route: .process,
        presentBytes: 2 << 20),
      VMInspection.Block(
        vm.blocks[2], backing: .anonymous, route: .process, presentBytes: 128 << 10,
        savedBytesAtMost: 128 << 10),
    ]
    let save = SaveForecast(
      engine: .capture, captureObstacles: [], engineObstacles: [],
      byteCountBeforeDevices: 5_372_903_424, diskBytesAtMost: 1_808_000_000, disksDiverge: true)
    return VMInspection(
      vm: vm, processID: 10, memory: memory, unlinkedDisks: [], save: save)
  }

  /// A VM of whose process nothing may be known.
  private var closed: VMInspection {
    var vm = vm
    vm.runState = .paused
    vm.name = nil
    vm.isManagedByLibvirt = true
    vm.migration.status = nil
    vm.capabilities = [:]
    vm.disks = []
    vm.blocks = [ram, vm.blocks[2]]
    let refusal = SystemCallError(
      call: .open, errno: .permissionDenied, subject: .file("/proc/10/maps"))
    return VMInspection(
      vm: vm, processID: 10,
      memory: vm.blocks.map { VMInspection.Block($0, backend: vm.backend(of: $0)) },
      unlinkedDisks: [],
      save: SaveForecast(
        engine: .qemu, captureObstacles: [.notPermitted(refusal)], engineObstacles: [],
        byteCountBeforeDevices: 4_299_161_600,
        diskBytesAtMost: 4_295_229_440, disksDiverge: false))
  }

  private func text(_ inspection: VMInspection) -> String {
    var text = ""
    VMSummaryText(socket: "/run/vm.qmp", inspection: inspection) { text += $0 }.write()
    return text
  }

  @Test func aDiskWithoutAName() throws {
    var inspection = open
    inspection.unlinkedDisks = [vm.disks[0]]
    let text = text(inspection)
    #expect(text.contains("/vm/disk.qcow2 (without a name: lost when QEMU ends)"))
    #expect(text.contains("Disks         none that the guest can write to and that remains when"))
  }

  @Test func aVMThatCanBeCaptured() throws { try compare("vm-capture", text(open)) }

  @Test func aVMThatMayNotBeLookedAt() throws { try compare("vm-closed", text(closed)) }

  @Test func aVMThatCannotBeSaved() throws {
    var inspection = closed
    inspection.vm.runState = .inMigrate
    inspection.save.engine = nil
    inspection.save.captureObstacles = [.runState(.inMigrate)]
    inspection.save.engineObstacles = [.runState(.inMigrate)]
    try compare("vm-waiting", text(inspection))
  }

  @Test func everyKeyIsThereWhateverIsKnown() throws {
    let (one, other) = (try object(open), try object(closed))
    #expect(Set(one.keys) == Set(other.keys))
    for list in ["blocks", "disks"] {
      let all = try #require(one[list] as? [[String: Any]])
      let keys = Set(all.map { $0.keys.sorted() })
      #expect(keys.count == 1, "\(list)")
    }
    let keys = try [one, other].map { try #require($0["save"] as? [String: Any]).keys.sorted() }
    #expect(keys[0] == keys[1])
    #expect(other["name"] is NSNull)
  }

  @Test func programsGetRawNumbers() throws {
    let found = try object(open)
    #expect(found["schemaVersion"] as? Int == 1)
    #expect(found["socket"] as? String == "/run/vm.qmp")
    #expect(found["ramTotalBytes"] as? Int == 5 << 30 + 128 << 10)
    #expect(found["capabilities"] as? [String] == ["mapped-ram"])
    let blocks = try #require(found["blocks"] as? [[String: Any]])
    #expect(
      blocks.map { $0["backing"] as? String } == ["sharedFile", "privateFile", "anonymous"])
    #expect(blocks.map { $0["route"] as? String } == ["sharedFile", "process", "process"])
    #expect(blocks[0]["presentBytes"] as? Int == 700 << 20)
    #expect(blocks[1]["pageBytes"] as? Int == 2 << 20)
    let save = try #require(found["save"] as? [String: Any])
    #expect(save["engine"] as? String == "capture")
    #expect(save["disksDiverge"] as? Bool == true)
  }

  @Test(arguments: [true, false])
  func aSocketWithoutQEMUIs69AndNoneAtAll74(isThere: Bool) throws {
    let directory = try TemporaryDirectory()
    let (name, stale) = (directory.file("qmp"), directory.file("stale"))
    if isThere {
      let listener = try UnixListener(at: name)
      try Subprocess.succeed(["ln", listener.path.string, stale.string])
    }
    let command = try #require(
      try InspectCommand.parseAsRoot([stale.string]) as? InspectCommand)
    var (output, complaints) = ("", [String]())
    let status = command.perform(
      width: 80, output: { output += $0 },
      complain: { line, _ in complaints.append(line.error.message) })
    #expect(status == (isThere ? .unavailable : .ioError) && output.isEmpty)
    let problem = isThere ? "cannot connect: Connection refused." : "cannot open: No such file"
    #expect(complaints.count == 1 && complaints[0].hasPrefix("\(stale): \(problem)"))
  }

  private func object(_ inspection: VMInspection) throws -> [String: Any] {
    let text = JSONText.document(VMInspectJSON(inspection, at: "/run/vm.qmp"))
    return try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func compare(_ name: String, _ text: String) throws {
    try expectSnapshot("inspect-\(name)", text)
  }
}
