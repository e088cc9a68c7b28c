import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import SystemPackage
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands
@testable import QEMUControl

/// What `save` and `restore` say at their end.
@Suite struct VMReportTests {
  static let transfer = TransferReport(
    ramBytes: 128 << 20, presentBytes: 64 << 20,
    totals: TransferTotals(
      bytesRead: 1, bytesWritten: 2, directRequests: 3, bufferedRequests: 4),
    notes: [], method: .ioUring,
    directIO: .active(memoryAlignment: 512, offsetAlignment: 512), elapsed: .milliseconds(500),
    cpuTime: .milliseconds(10), peakMemoryBytes: 20 << 20)

  var captured: VMSaveReport {
    var transfer = Self.transfer
    transfer.hasChecksums = true
    return VMSaveReport(
      engine: .capture, engineReasons: [],
      memory: [
        BlockMemory(idstr: "pc.ram", byteCount: 128 << 20, route: .file("/memfd:ram (deleted)")),
        BlockMemory(idstr: "pc.rom", byteCount: 128 << 10, route: .process),
        BlockMemory(idstr: "vga.vram", byteCount: 16 << 20, route: .process),
      ],
      pause: .milliseconds(52), stateBefore: "running",
      after: .state("running"), machineType: "pc-q35-10.0",
      blocks: ["pc.ram", "pc.rom", "vga.vram"], layout: .hugePages,
      fileSize: 200 << 20, disks: [], transfer: transfer)
  }

  private func saveText(_ report: VMSaveReport) -> [String] {
    SaveReport(image: "vm.img", report: report).text.split(separator: "\n").map(String.init)
  }

  @Test func aCaptureTellsHowMemoryWasReadAndHowLongTheVMWasPaused() {
    #expect(
      saveText(captured) == [
        "Saved vm.img by capture: 3 RAMBlocks, machine type pc-q35-10.0",
        "  Paused for 52 ms; now running",
        "  64.0 MiB of 128 MiB of RAM present; 0.500 s, 0.125 GiB/s, 0.160 CPU-seconds per GiB",
      ])
    #expect(
      SaveReport(image: "vm.img", report: captured).details == """
          Layout 2M
          128 MiB of RAM read from shared memory (/memfd:ram (deleted))
          16.1 MiB of RAM copied from QEMU's process (process_vm_readv), as it is private or of huge pages
          7 requests by io_uring, 3 of them direct; peak memory 20.0 MiB

        """)
  }

  @Test func aSaveByQEMUTellsWhy() {
    var report = captured
    report.engine = .qemu
    report.memory = []
    report.engineReasons = [.migrating(.active), .unknownProcess(given: nil)]
    let lines = saveText(report)
    #expect(lines[0] == "Saved vm.img by qemu: 3 RAMBlocks, machine type pc-q35-10.0")
    #expect(
      lines[2] == "  Note: QEMU wrote the image by itself. A migration is in progress (active).")
    #expect(lines[3].hasPrefix("  Note: QEMU wrote the image by itself. The process of this QEMU"))
    #expect(!lines.joined().contains(".."))
    #expect(lines.last == "  64.0 MiB of 128 MiB of RAM present; 0.500 s, 0.125 GiB/s")
  }

  /// 1,024 MiB: 1 s to write, 100 ms to read; 100 MiB have changed.
  static let choice = LiveChoice(
    after: [
      LiveRound(readBytes: 1 << 30, changedBytes: 1 << 30, elapsed: .milliseconds(1000)),
      LiveRound(readBytes: 1 << 30, changedBytes: 10 << 20, elapsed: .milliseconds(110)),
    ], .anotherRound, wanted: .milliseconds(50), ram: ByteCount(1 << 30), obstacles: [])

  @Test func aLiveSaveByQEMUTellsWhatWasExpected() {
    var report = captured
    report.engine = .qemu
    report.memory = []
    report.protectionObstacles = [.limitedBandwidth]
    report.liveChoice = Self.choice
    let lines = saveText(report)
    #expect(
      lines[2].hasPrefix("  Note: saved by QEMU itself, not by a snapshot. The bandwidth is"))
    #expect(
      lines[3]
        == "  Note: QEMU's own live save was taken after 2 rounds. Further rounds were expected to end in a pause of 120 ms, "
        + "100 ms of them to read all memory; QEMU in one of 33 ms; 50 ms were asked for.")
  }

  @Test func aLiveSaveInRoundsTellsWhyQEMUWasNotTaken() {
    var report = captured
    report.liveChoice = Self.choice
    report.liveChoice?.takesQEMU = false
    #expect(
      saveText(report)[2]
        == "  Note: QEMU's own live save was not taken: it was expected to pause the VM for 33 ms; 50 ms were asked for."
    )
    report.liveChoice?.qemuDowntime = nil
    report.liveChoice?.obstacles = [.devices]
    #expect(
      saveText(report)[2].hasPrefix(
        "  Note: QEMU's own live save was not taken. QEMU does not save"))
    // Where rounds keep what was asked for, there is nothing to say.
    report.liveChoice?.wanted = .milliseconds(500)
    #expect(!saveText(report).joined().contains("Note"))
  }

  @Test(arguments: [
    ("running", VMSaveReport.After.ended, "QEMU has ended"),
    ("paused", .state("paused"), "now paused"),
    ("running", .failed(.gone, state: "paused"), "now paused"),
    ("running", .failed(.gone, state: nil), "its state is unknown"),
  ])
  func aVMThatWasPausedIsSaidToHaveBeen(before: String, after: VMSaveReport.After, words: String) {
    var report = captured
    report.pause = nil
    report.stateBefore = before
    report.after = after
    #expect(saveText(report)[1] == "  The VM was \(before); \(words)")
  }

  @Test func disksThatGoOnAreNamed() throws {
    var report = captured
    report.disks = [
      VMSaveReport.DiskOfImage(name: "vda", file: "/d/a.qcow2", overlay: nil),
      VMSaveReport.DiskOfImage(name: "vdb", file: "/d/b.qcow2", overlay: "/s/b.qcow2"),
    ]
    let lines = saveText(report)
    #expect(
      lines.contains(
        "  Disk vdb: /d/b.qcow2 belongs to the image; the VM writes to /s/b.qcow2 now."))
    let note = try #require(lines.last)
    #expect(
      note.hasPrefix("  Note: the VM is running and writes to vda (/d/a.qcow2), which the image"))
    #expect(!note.contains("vdb"))
    #expect(report.disksDiverge)
    // Of a VM of which nothing is known any more the worst is to be expected.
    for (after, diverge) in [
      (VMSaveReport.After.failed(.gone, state: nil), true),
      (.failed(.gone, state: "paused"), false),
      (.ended, false),
    ] {
      report.after = after
      #expect(report.disksDiverge == diverge)
    }
    report.after = .state("paused")
    #expect(!report.disksDiverge)
    #expect(saveText(report).allSatisfy { !$0.contains("Note:") })
  }

  @Test func theJSONOfASaveHasEverything() throws {
    var report = captured
    report.disks = [
      VMSaveReport.DiskOfImage(name: "vda", file: "/d/a.qcow2", overlay: "/s/a.qcow2")
    ]
    let text = JSONText.line(SaveReport(image: "vm.img", report: report).json)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "type", "schemaVersion", "command", "image", "engine", "engineReasons", "machineType",
        "layout",
        "fileSize", "hasChecksums", "base", "blocks", "memory", "downtimeSeconds", "stateBefore",
        "stateAfter", "hasEnded", "disks", "disksDiverge", "transfer", "live", "problem",
        "snapshot", "roundsReasons", "liveChoice",
      ])
    #expect(object["downtimeSeconds"] as? Double == 0.052)
    let memory = try #require(object["memory"] as? [[String: Any]])
    #expect(memory.map { $0["route"] as? String } == ["sharedFile", "process", "process"])
    #expect(object["disksDiverge"] as? Bool == false)
  }

  @Test func aBaseIsToldOf() throws {
    var report = captured
    report.transfer.base = BaseReport(path: "monday.img")
    report.transfer.base?.sharedBytes = 3 << 20
    func said() -> SaveReport { SaveReport(image: "vm.img", report: report) }
    #expect(said().text.contains("  Shares 3.00 MiB with monday.img\n"), "\(said().text)")
    #expect(JSONText.line(said().json).contains(#""sharedBytes":3145728"#))
    report.transfer.base = BaseReport(path: "monday.img", obstacle: .fileSystem)
    #expect(said().text.contains("  Note: the image shares nothing with monday.img. Blocks cannot"))
  }

  /// A snapshot tells what has become of the guest's huge pages, and notes it where they are lost.
  @Test func aSnapshotTellsOfHugePages() throws {
    var report = captured
    report.sent = SentReport(pages: 900, writtenPages: 7)
    report.hugeMemory = HugeMemoryReport(splitBytes: 6 << 20, mendedBytes: 6 << 20)
    func said() -> SaveReport { SaveReport(image: "vm.img", report: report) }
    #expect(!said().text.contains("huge pages"))
    #expect(
      said().details.contains(
        "6.00 MiB of the guest's huge pages were split by QEMU's protection; 6.00 MiB are huge again"
      ))
    report.hugeMemory = HugeMemoryReport(
      splitBytes: 6 << 20, mendedBytes: 2 << 20,
      refusal: SystemCallError(call: .process_madvise, errno: .notPermitted, subject: .process))
    #expect(said().text.contains("Note: 4.00 MiB of the guest's memory have lost their huge pages"))
    #expect(said().text.contains("CAP_SYS_NICE"), "\(said().text)")
    let json = JSONText.line(said().json)
    #expect(
      json.contains(
        #""snapshot":{"sentPages":900,"writtenPages":7,"splitBytes":6291456,"mendedBytes":2097152}"#
      )
        || json.contains(
          #""snapshot":{"mendedBytes":2097152,"sentPages":900,"splitBytes":6291456,"writtenPages":7}"#
        ),
      "\(json)")
  }
}

extension VMReportTests {
  var mapped: VMRestoreReport {
    VMRestoreReport(
      engine: .map, engineReasons: [],
      blocks: [
        VMRestoreReport.BlockArrival(idstr: "pc.ram", byteCount: 4 << 30, way: .mapped),
        VMRestoreReport.BlockArrival(idstr: "pc.rom", byteCount: 128 << 10, way: .stream),
      ],
      state: "running", processID: 4711, elapsed: .milliseconds(7), transfer: nil)
  }

  @Test func aMappedVMNeedsItsImage() {
    let report = RestoreReport(
      image: "vm.img", report: mapped, notes: [.balloonKeepsMemory(driver: "virtio-balloon")])
    let lines = report.text.split(separator: "\n").map(String.init)
    #expect(
      lines.prefix(3) == [
        "Restored vm.img by map in 7.0 ms; now running",
        "  1 RAMBlock of 4.00 GiB mapped from the image",
        "  1 RAMBlock of 128 KiB in the migration stream",
      ])
    #expect(
      lines[3].hasPrefix("  Note: virtio-balloon: memory that the guest returns stays in use"))
    #expect(lines[4].hasPrefix("  Do not change or remove vm.img while the VM runs"))
    #expect(lines.count == 5)
    #expect(report.table == "")
  }

  @Test func aDetachedVMIsToldForScripts() {
    var report = RestoreReport(image: "vm.img", report: mapped)
    report.socket = "/run/vm.qmp"
    #expect(report.table == "pid     4711\nsocket  /run/vm.qmp\n")
    report.log = "/run/vm.log"
    #expect(report.table == "pid     4711\nsocket  /run/vm.qmp\nlog     /run/vm.log\n")
  }

  @Test func aRestoreByQEMUTellsWhy() {
    var report = mapped
    report.engine = .qemu
    report.engineReasons = [.unknownProcess(given: nil)]
    let text = RestoreReport(image: "vm.img", report: report).text
    #expect(text.contains("  Note: QEMU loaded the image by itself. The process of this QEMU"))
    #expect(!text.contains("remove vm.img"))
  }

  @Test func theDisksOfACloneAreTold() {
    var report = RestoreReport(image: "vm.img", report: mapped)
    report.disks = [DiskClone(name: "d", file: "/d/a.img", overlay: "/c/1/d.qcow2")]
    report.notes = [.noGenerationID]
    let lines = report.text.split(separator: "\n")
    #expect(lines.contains("  Disk d: /c/1/d.qcow2, an overlay of /d/a.img"))
    #expect(lines.contains { $0.hasPrefix("  Note: The VM has no VM generation ID") })
  }

  @Test func theJSONOfARestoreHasEverything() throws {
    var report = mapped
    report.transfer = Self.transfer
    var told = RestoreReport(image: "vm.img", report: report, notes: [.lockedMemory])
    told.socket = "/run/vm.qmp"
    told.log = "/run/vm.log"
    let text = JSONText.line(told.json)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "type", "schemaVersion", "command", "image", "engine", "engineReasons", "state",
        "processID", "socket", "log", "elapsedSeconds", "blocks", "notes", "devicesLeft",
        "disks", "transfer", "deviations",
      ])
    let blocks = try #require(object["blocks"] as? [[String: Any]])
    #expect(blocks.map { $0["way"] as? String } == ["mapped", "stream"])
    let notes = try #require(object["notes"] as? [[String: Any]])
    #expect(notes.map { $0["kind"] as? String } == ["lockedMemory"])
  }
}
