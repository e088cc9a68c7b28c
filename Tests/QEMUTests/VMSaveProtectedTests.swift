import Foundation
import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

/// A VM that is saved live, as it is at one moment, and another client of it.
private struct ProtectedVM {
  let vm: LiveVM
  let files: TemporaryDirectory
  let kind: VMKind

  /// The socket of the other client.
  var other: FilePath { files.file("other") }

  init(_ kind: VMKind, _ change: (inout QEMU.Configuration) -> Void = { _ in }) throws {
    let files = try TemporaryDirectory()
    self.files = files
    self.kind = kind
    vm = try LiveVM(
      kind.configuration.with {
        $0.arguments += ["-qmp", "unix:\(files.file("other")),server=on,wait=off"]
        change(&$0)
      })
  }

  /// A guest that changes nearly all of its memory.
  ///
  /// Memory besides, which it does not touch, takes QEMU some time.
  static func toucher() throws -> ProtectedVM {
    try ProtectedVM(VMKind.busy(44)) {
      $0.addSlots()
      $0.addDIMM(.ram, mebibytes: 512)
    }
  }

  /// The command, behind a proxy with `rules`.
  func save(
    _ rules: [QMPProxy.Rule], _ options: [String] = []
  ) throws -> (tool: RunningTool, proxy: QMPProxy) {
    let proxy = try QMPProxy(before: vm.qemu, rules)
    return (
      try RunningTool(
        [
          "save", proxy.socket.string, vm.image.string, "--engine", "capture", "--live",
          "--live-method", "snapshot", "--progress", "none",
        ] + options), proxy
    )
  }

  /// The command at a time when the guest runs, and its memory is protected: QEMU's answer to `cont` is held back. The command is stopped, so
  /// that QEMU does not come to its end.
  func caught(
    until file: FilePath? = nil, seconds: Double = 20
  ) throws -> (tool: RunningTool, proxy: QMPProxy) {
    let reached = files.file("reached")
    let (tool, proxy) = try save(
      [.init("cont", nth: 1, do: "late", seconds: seconds, reached: reached, until: file)])
    try tool.wait(for: "cont", every: .milliseconds(1)) { exists(reached) }
    tool.send(SIGSTOP)
    try vm.qemu.wait(for: "the guest") { try vm.qemu.status() == "running" }
    return (tool, proxy)
  }

  func migrationStatus() throws -> String? {
    (try vm.qemu.execute("query-migrate") as? [String: Any])?["status"] as? String
  }

  /// The bytes of a part of a block in the image.
  func saved(_ place: VMKind.Place) throws -> [UInt8] {
    let file = try File.open(vm.image, access: .read, directIO: .off)
    let image = try Image(reading: file)
    let block = try #require(image.blocks.first { $0.idstr == place.idstr })
    let present = try #require(try block.readBitmap(from: file))
    let slots = try #require(block.layout.pages)
    let count = Int(place.range.upperBound - place.range.lowerBound)
    var bytes = try file.readBytes(at: slots.lowerBound.rawValue + place.offset, count: count)
    for page in 0..<(count / 4096) where !present[Int(place.offset) / 4096 + page] {
      bytes.replaceSubrange(
        (page * 4096)..<((page + 1) * 4096), with: repeatElement(0, count: 4096))
    }
    return bytes
  }
}

extension QEMU {
  /// Memory of it that is mapped by huge pages, in bytes.
  fileprivate func hugeBytes() throws -> UInt64 {
    let path = "/proc/\(processID)/smaps_rollup"
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    let line = try #require(lines.first { $0.hasPrefix("AnonHugePages:") })
    return try #require(UInt64(line.split(separator: " ")[1])) << 10
  }
}

extension RealQEMU {
  /// Live saves of one moment: QEMU protects the memory, and sends pages before they change.
  @Suite struct VMSaveProtectedTests {
    /// The image is the memory as it was in the pause, which another client has written down; the VM runs on, and so does what is
    /// restored.
    @Test(
      arguments: BusyGuest.allCases,
      [nil, QEMU.Configuration.Backend.memfd(isShared: true), .ram])
    func theImageIsTheMemoryInThePause(
      _ guest: BusyGuest, memory: QEMU.Configuration.Backend?
    ) throws {
      let protected = try ProtectedVM(VMKind.busy(guest.rawValue, memory: memory))
      let vm = protected.vm
      let dumps = protected.kind.memory.enumerated().map { index, place in
        (place, protected.files.file("dump\(index)"))
      }
      let (tool, proxy) = try protected.save(
        [
          .init(
            "cont", nth: 1,
            before: dumps.map { place, path in
              let count = place.range.upperBound - place.range.lowerBound
              return .init(
                "human-monitor-command",
                ["command-line": "pmemsave \(place.range.lowerBound) \(count) \"\(path)\""])
            }, over: protected.other)
        ], ["--json"])
      #expect(try tool.wait() == 0, "\(tool.errors)")
      #expect(tool.output.contains("\"sentPages\""), "\(tool.output)")
      for (place, path) in dumps {
        let file = try File.open(path, access: .read, directIO: .off)
        let dump = try file.readBytes(at: 0, count: Int(try file.size()))
        // Not #expect of both, which prints them.
        let isSame = try protected.saved(place) == dump
        #expect(isSame, "\(place.idstr) at \(place.offset)")
      }
      #expect(try vm.qemu.state() == vm.before)
      try vm.qemu.expectGoesOn()
      try expectLoaded(vm.image, into: vm.qemu.configuration, from: vm.qemu, continues: false)
      for engine in restoreEngines {
        try restoring(vm.image, by: engine, into: vm.qemu.configuration, then: .resume) {
          restored in
          try restored.waitForLineEnds(3)
          // The first line may have begun before.
          let text = restored.serial.drop { $0 != "\n" }.dropFirst()
          let lines = try BootSectorGuest.lines(of: String(text))
          #expect(Set(lines.map(\.sum)) == [vm.qemu.guestSum] && restored.log == "")
        }
      }
      #expect(vm.qemu.logBesidesACancellation == "")
      withExtendedLifetime(proxy) {}
    }

    /// The connection breaks as the protection is to end, when all pages have been read: it ends over a new one, and the image is whole.
    @Test func theProtectionEndsOverANewConnection() throws {
      let protected = try ProtectedVM.toucher()
      let (vm, reached) = (protected.vm, protected.files.file("reached"))
      let (tool, proxy) = try protected.save(
        [.init("migrate_cancel", nth: 1, do: "close", reached: reached)])
      #expect(try tool.wait() == 0, "\(tool.errors)")
      #expect(exists(reached))
      #expect(try protected.migrationStatus() == "cancelled")
      #expect(try vm.qemu.state() == vm.before)
      try vm.qemu.expectGoesOn()
      try expectLoaded(vm.image, into: vm.qemu.configuration, from: vm.qemu, continues: false)
      withExtendedLifetime(proxy) {}
    }

    /// Devices that give memory back, and disks.
    @Test func withBalloonAndDisk() throws {
      let disk = try TemporaryDirectory()
      try QEMU.makeDisk(disk.file("disk"), mebibytes: 1)
      let protected = try ProtectedVM(VMKind.busy(44)) {
        $0.addBalloon()
        $0.addDisk(disk.file("disk"))
      }
      let vm = protected.vm
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
      }
      #expect(report.sent != nil && report.protectionObstacles == [])
      try vm.expectAsBefore(leaving: ["vm.img"])
      try Tool.succeed(["inspect", vm.image.string])
    }

    @Test func snapshotsOfDisksAreOfTheSameMoment() throws {
      let files = try TemporaryDirectory()
      try QEMU.makeDisk(files.file("disk"), mebibytes: 1)
      let vm = try LiveVM(VMKind.busy(44).configuration.with { $0.addDisk(files.file("disk")) })
      let overlays = try TemporaryDirectory()
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
        $0.snapshotDirectory = overlays.path
      }
      #expect(report.sent != nil && report.disks.allSatisfy { $0.overlay != nil })
      #expect(try overlays.names().count == 1)
      try vm.qemu.expectGoesOn()
    }

    /// Memory and disks are of the moment of the pause, though the VM has run on since: so it may be paused or ended in the end.
    @Test(arguments: ["pause", "quit"])
    func oneWithSnapshotsOfItsDisksRunsUntilTheEnd(then: String) throws {
      let files = try TemporaryDirectory()
      try QEMU.makeDisk(files.file("disk"), mebibytes: 1)
      let vm = try LiveVM(VMKind.busy(44).configuration.with { $0.addDisk(files.file("disk")) })
      let overlays = try TemporaryDirectory()
      let (resumed, paused) = (files.file("resumed"), files.file("paused"))
      let proxy = try QMPProxy(
        before: vm.qemu,
        [.init("cont", nth: 1, reached: resumed), .init("stop", nth: 2, reached: paused)])
      let result = try Tool.run([
        "save", proxy.socket.string, vm.image.string, "--engine", "capture", "--live",
        "--live-method", "snapshot", "--then", then, "--snapshot-disks", overlays.path.string,
      ])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.contains("by QEMU's background snapshot"), "\(result.errors)")
      #expect(result.errors.contains("what the VM has written since is in"), "\(result.errors)")
      #expect(result.errors.contains(then == "quit" ? "QEMU has ended" : "now paused"))
      #expect(exists(resumed) && exists(paused))
      #expect(try overlays.names().count == 1)
      if then == "pause" {
        #expect(try vm.qemu.status() == "paused")
        try vm.qemu.execute("cont")
        try vm.qemu.expectGoesOn()
      }
      try Tool.succeed(["inspect", vm.image.string])
    }

    /// The protection is taken off page by page, which splits huge pages: the guest has them again afterwards.
    @Test(
      .enabled(if: !TransparentHugePages.areOff && geteuid() == 0, "needs root, and huge pages"))
    func theGuestsHugePagesAreGivenBack() throws {
      let protected = try ProtectedVM.toucher()
      let vm = protected.vm
      let before = try vm.qemu.hugeBytes()
      try #require(before >= 40 << 20)
      let result = try Tool.run([
        "save", vm.qemu.qmpSocket.string, vm.image.string, "--engine", "capture", "--live",
        "--live-method", "snapshot", "--json",
      ])
      #expect(result.status == 0, "\(result.errors)")
      let report = try JSONDecoder().decode(SplitReport.self, from: Data(result.text.utf8))
      #expect(report.snapshot.splitBytes > 0)
      #expect(report.snapshot.mendedBytes == report.snapshot.splitBytes)
      #expect(try vm.qemu.hugeBytes() >= before)
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    private struct SplitReport: Decodable {
      var snapshot: Snapshot

      struct Snapshot: Decodable {
        var splitBytes: UInt64
        var mendedBytes: UInt64
      }
    }

    // MARK: What else is done, and why

    @Test func oneThatIsToStayPausedIsSavedInRounds() throws {
      let vm = try LiveVM(VMKind.busy(4).configuration)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
        $0.afterwards = .pause
      }
      #expect(report.protectionObstacles == [.doesNotRunOn] && report.live != nil)
      #expect(report.sent == nil)
      let result = try Tool.run([
        "save", vm.qemu.qmpSocket.string, vm.image.string, "--live", "--live-method", "rounds",
      ])
      #expect(result.status == 0 && !result.text.contains("not by a snapshot"))
    }

    @Test func oneThatIsToStayPausedCannotBeHadBySnapshot() throws {
      let vm = try LiveVM(VMKind.busy(4).configuration)
      let result = try Tool.run([
        "save", vm.qemu.qmpSocket.string, vm.image.string, "--engine", "capture", "--live",
        "--live-method", "snapshot", "--then", "pause",
      ])
      #expect(result.status == 69)
      #expect(result.errors.contains("is to be paused or ended"), "\(result.errors)")
      #expect(result.errors.contains("--live-method"), "\(result.errors)")
      #expect(result.errors.contains("Use --snapshot-disks"), "\(result.errors)")
      try vm.expectAsBefore()
    }

    /// Memory that is not there stays so.
    @Test func sparseSharedMemoryIsNotFilled() throws {
      let vm = try LiveVM(
        QEMU.Configuration.small.with {
          $0.addSlots()
          $0.addDIMM(.memfd(isShared: true), mebibytes: 256)
        })
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
      }
      guard case .fillsMemory(let idstr, let byteCount)? = report.protectionObstacles.first else {
        Issue.record("\(report.protectionObstacles)")
        return
      }
      #expect(idstr.contains("dimm0") && byteCount > 200 << 20)
      #expect(report.live != nil)
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    /// Shared memory of a file on a disk, which the kernel protects for nobody: QEMU refuses, and nothing has happened.
    @Test func whatQEMURefusesIsSavedInRounds() throws {
      let vm = try LiveVM.slow(mebibytes: 16, isShared: true)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
      }
      guard case .refused(let reason)? = report.protectionObstacles.first else {
        Issue.record("\(report.protectionObstacles)")
        return
      }
      #expect(reason.contains("ackground-snapshot") && report.live != nil, "\(reason)")
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    /// Private memory of a file, as of a VM that runs on an image: QEMU is not even asked.
    @Test func privateMemoryOfAFileIsSavedInRounds() throws {
      let vm = try LiveVM.slow(mebibytes: 16)
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
      }
      guard case .privateFile("dimm0", _)? = report.protectionObstacles.first else {
        Issue.record("\(report.protectionObstacles)")
        return
      }
      #expect(report.live != nil)
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    private static let isClosedToOthers =
      Unprivileged.isAvailable
      && (try? String(contentsOfFile: "/proc/sys/vm/unprivileged_userfaultfd", encoding: .utf8))
        == "0\n"
      && (try? Subprocess.run(Unprivileged.prefix() + ["test", "-w", "/dev/userfaultfd"]).status)
        != 0

    @Test(.enabled(if: isClosedToOthers, "needs root, and a userfaultfd that is not for all"))
    func withoutTheRightQEMUIsSavedInRounds() throws {
      let vm = try LiveVM(
        VMKind.busy(4).configuration.with { $0.user = Unprivileged.nobody })
      let result = try Tool.run([
        "save", vm.qemu.qmpSocket.string, vm.image.string, "--engine", "capture", "--live",
      ])
      #expect(result.status == 0, "\(result.errors)")
      let text = result.text + result.errors
      #expect(text.contains("/dev/userfaultfd"), "\(text)")
      try vm.expectAsBefore(leaving: ["vm.img"])
    }

    /// Another process may write the memory, and would not be held up.
    @Test func anotherWriterIsFound() throws {
      let memory = FilePath("/dev/shm/mapped-ram-\(UInt32.random(in: .min ... .max))")
      defer { try? FileManager.default.removeItem(atPath: memory.string) }
      let vm = try LiveVM(
        VMKind.backed(by: "memory-backend-file,mem-path=\(memory),share=on", "shm").configuration)
      let writer = Process()
      writer.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      writer.arguments = [
        "python3", "-c",
        """
        import mmap, sys, time
        file = open(sys.argv[1], "r+b")
        memory = mmap.mmap(file.fileno(), 4096)
        print("mapped", flush=True)
        time.sleep(1000)
        """, memory.string,
      ]
      let said = Pipe()
      writer.standardOutput = said
      try writer.run()
      defer {
        kill(writer.processIdentifier, SIGKILL)
        writer.waitUntilExit()
      }
      #expect(said.fileHandleForReading.availableData.starts(with: Data("mapped".utf8)))
      let report = try vm.qemu.saveVM(to: vm.image) {
        $0.engine = .capture
        $0.live = LiveOptions()
      }
      #expect(
        report.protectionObstacles == [
          .sharedMemory(idstr: "main", processID: writer.processIdentifier)
        ])
      #expect(report.live != nil)
    }

    // MARK: Its end

    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func endedWhileTheGuestRuns(number: Int32) throws {
      let protected = try ProtectedVM.toucher()
      let (tool, proxy) = try protected.caught()
      #expect(try protected.migrationStatus() == "active")
      tool.send(number)
      tool.send(SIGCONT)
      #expect(try tool.wait() == (number == SIGKILL ? 128 + SIGKILL : 130), "\(tool.errors)")
      let vm = protected.vm
      try vm.qemu.wait(for: "the way back", seconds: 40) { try vm.qemu.state() == vm.before }
      try vm.expectAsBefore(says: true)
      withExtendedLifetime(proxy) {}
    }

    /// One that does not read any more holds the guest at a page. The watchdog ends that.
    @Test func stoppedWhileTheGuestRuns() throws {
      let protected = try ProtectedVM.toucher()
      let (tool, proxy) = try protected.caught(seconds: 100)
      let vm = protected.vm
      try vm.qemu.wait(for: "the watchdog", seconds: 90) { try vm.qemu.state() == vm.before }
      try vm.qemu.expectGoesOn()
      tool.send(SIGCONT)
      #expect(try tool.wait() == 69, "\(tool.errors)")
      try vm.expectAsBefore(says: true)
      withExtendedLifetime(proxy) {}
    }

    /// Another client cancels what it takes for a migration: pages may have changed that were not sent, so there is no image.
    @Test func anotherClientCancels() throws {
      let protected = try ProtectedVM.toucher()
      let go = protected.files.file("go")
      let (tool, proxy) = try protected.caught(until: go)
      let vm = protected.vm
      try vm.qemu.execute("migrate_cancel")
      try vm.qemu.wait(for: "the end") { try protected.migrationStatus() == "cancelled" }
      try Subprocess.succeed(["touch", go.string])
      tool.send(SIGCONT)
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(tool.errors.contains("another client cancelled"), "\(tool.errors)")
      try vm.expectAsBefore(says: true)
      withExtendedLifetime(proxy) {}
    }

    /// Another client's migration is there first: it is not disturbed.
    @Test func migrationOfAnotherClient() throws {
      let protected = try ProtectedVM(VMKind.busy(4))
      let vm = protected.vm
      try vm.qemu.execute("migrate-set-parameters", ["max-bandwidth": 100_000])
      let (tool, proxy) = try protected.save([
        .init(
          "migrate", nth: 1, before: [.init("migrate", ["uri": "exec:cat >/dev/null"])],
          over: protected.other)
      ])
      #expect(try tool.wait() == 69, "\(tool.errors)")
      #expect(try vm.directory.names() == [])
      try vm.qemu.execute("migrate_cancel")
      try vm.qemu.wait(for: "the end", seconds: 30) {
        try protected.migrationStatus() == "cancelled"
      }
      try vm.qemu.expectGoesOn()
      withExtendedLifetime(proxy) {}
    }
  }
}
