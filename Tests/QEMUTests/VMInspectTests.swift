import Foundation
import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// `inspect` of a VM and the values behind it, on a QEMU that runs.
  @Suite struct VMInspectTests {
    /// 16 MiB, of which the guest has filled 4 but for one page in eight.
    private func start(_ change: (inout QEMU.Configuration) throws -> Void = { _ in }) throws
      -> QEMU
    {
      var configuration = QEMU.Configuration(
        guest: BootSectorGuest(end: 0x50_0000), mebibytes: 16)
      try change(&configuration)
      let qemu = try QEMU(configuration)
      try qemu.waitForGuestLines(1)
      return qemu
    }

    /// All that a look must not change.
    private func state(_ qemu: QEMU) throws -> [String] {
      try [
        "query-status", "query-migrate-capabilities", "query-migrate-parameters", "query-migrate",
        "query-fdsets",
      ].map {
        String(
          decoding: try JSONSerialization.data(
            withJSONObject: try qemu.execute($0), options: [.sortedKeys, .fragmentsAllowed]),
          as: UTF8.self)
      }
    }

    private func look(_ qemu: QEMU) throws -> VMInspection {
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      return try VMInspection(of: connection)
    }

    @Test(arguments: [
      QEMU.Configuration.Backend.ram, .memfd(isShared: true), .memfd(isShared: false),
      .file("ram", isShared: true), .file("ram", isShared: false),
    ])
    func memoryOfEachKindIsFound(backend: QEMU.Configuration.Backend) throws {
      let qemu = try start { $0.setMemory(backend) }
      let found = try look(qemu)
      #expect(found.processID == qemu.processID)
      let main = try #require(found.memory.first { $0.block.idstr == "main" })
      let present = try #require(main.presentBytes)
      // QEMU itself touches some more, in pages as large as the kernel likes.
      #expect(present >= 7 << 19 && present <= 16 << 20)
      #expect(main.savedBytesAtMost >= present)
      switch (backend, main.backing, main.route) {
      case (.ram, .anonymous, .process):
        #expect(main.savedBytesAtMost == present)
      case (.memfd(true), .sharedFile(_, _, let path), .file),
        (.file(_, true), .sharedFile(_, _, let path), .file):
        #expect(path.hasPrefix("/"))
        #expect(main.savedBytesAtMost == present)
      case (.memfd(false), .privateFile, .process), (.file(_, false), .privateFile, .process):
        // What the file has as a hole and QEMU has not written is zero.
        #expect(main.savedBytesAtMost == present)
      default: Issue.record("\(main)")
      }
      #expect(found.save.engine == .capture && found.save.captureObstacles.isEmpty)
    }

    @Test(.enabled(if: HugePages.isAvailable, "needs huge pages"))
    func hugePagesAreNamed() throws {
      let pages = try HugePages(count: 8)
      defer { withExtendedLifetime(pages) {} }
      let qemu = try start { $0.setMemory(.hugeMemfd(isShared: true)) }
      let main = try #require(try look(qemu).memory.first)
      #expect(main.isHuge && main.block.pageBytes == 2 << 20)
      #expect(main.route != .process && main.savedBytesAtMost == 16 << 20)
    }

    @Test func aLookChangesNothing() throws {
      let qemu = try start()
      let before = try state(qemu)
      for _ in 0..<3 { _ = try look(qemu) }
      #expect(try state(qemu) == before)
      let lines = try qemu.guestLines().count
      try qemu.waitForGuestLines(lines + 2)
      #expect(qemu.log.isEmpty)
    }

    @Test func disksAndStatesAreTold() throws {
      let directory = try TemporaryDirectory()
      let disk = directory.file("disk.qcow2")
      try QEMU.makeDisk(disk, mebibytes: 1, format: "qcow2")
      let qemu = try start {
        $0.addDisk(disk, format: "qcow2")
        $0.processors = 2
      }
      var found = try look(qemu)
      #expect(found.vm.processorThreads.count == 2 && found.save.disksDiverge)
      try qemu.stop()
      found = try look(qemu)
      #expect(found.vm.runState == .paused && !found.save.disksDiverge)
    }

    /// The forecast is a bound: the image keeps to it.
    @Test func theImageIsNoLargerThanForetold() throws {
      let qemu = try start()
      try qemu.stop()
      let directory = try TemporaryDirectory()
      let image = directory.file("vm.img")
      let connection = try QMPConnection(connecting: qemu.qmpSocket)
      let save = try VMInspection(of: connection).save
      let report = try VMSave.watched(to: image).run(connection)
      let before = try #require(save.byteCountBeforeDevices)
      #expect(report.fileSize > before && report.fileSize < before + 1 << 20)
      #expect(report.engine == save.engine)
      #expect(report.transfer.presentBytes <= save.diskBytesAtMost ?? 0)
    }

    @Test func aQEMUThatWaitsCannotBeSaved() throws {
      let qemu = try QEMU(QEMU.Configuration().destination)
      let save = try look(qemu).save
      #expect(save.engine == nil)
      #expect(save.engineObstacles == [.runState(.inMigrate)])
      #expect(save.captureObstacles == [.runState(.inMigrate)])
    }

    /// Whose memory may not be read can be saved by QEMU, and is told how to be read.
    @Test(.enabled(if: Unprivileged.isAvailable, "needs root and setpriv"))
    func withoutPermissionQEMUWouldSave() throws {
      let qemu = try start()
      let directory = try TemporaryDirectory()
      try directory.give(to: Unprivileged.nobody)
      // The way to the socket is open; the process is not.
      try Subprocess.succeed(["chmod", "-R", "a+rwX", qemu.directory.path.string])
      let tool = directory.file("mapped-ram")
      try Subprocess.succeed(["cp", Tool.path, tool.string])
      let result = try Subprocess.run(
        Unprivileged.prefix() + [tool.string, "inspect", qemu.qmpSocket.string])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.text.contains("\n  Engine        qemu: QEMU writes the image by itself\n"))
      #expect(result.text.contains("CAP_SYS_PTRACE"))
      #expect(result.text.contains("process \(qemu.processID)\n"))
    }

    @Test func theCommandShowsAllOfIt() throws {
      let qemu = try start()
      let result = try Subprocess.succeed([
        Tool.path, "inspect", qemu.qmpSocket.string,
      ])
      for part in [
        "QMP socket    \(qemu.qmpSocket)\n", "process \(qemu.processID)\n",
        "State         running\n",
        "\npc.ram ", "\nA save now\n  Engine        capture: ",
      ] {
        #expect(result.text.contains(part), "\(part)")
      }
      let json = try Subprocess.succeed([
        Tool.path, "inspect", qemu.qmpSocket.string, "--json",
      ])
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any])
      #expect(object["processID"] as? Int32 == qemu.processID)
      #expect(try qemu.status() == "running")
    }
  }
}
