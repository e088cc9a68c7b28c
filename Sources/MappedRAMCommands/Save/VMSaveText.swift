import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

/// What `mapped-ram save --qmp` says at its end.
struct VMSaveText: CommandReport {
  var image: FilePath
  var report: VMSaveReport

  var text: String {
    let blocks = NumberText.count(UInt64(report.blocks.count), "RAMBlock")
    var lines = [
      "Saved \(image) by \(report.engine.rawValue): \(blocks), machine type \(report.machineType)",
      "  \(stillness)",
    ]
    for reason in report.engineReasons {
      lines.append("  Note: QEMU wrote the image by itself. \(reason.description)")
    }
    if let live = report.live { lines += LiveText(report: live).lines.map { "  \($0)" } }
    if let rounds = report.rounds {
      lines.append("  \(NumberText.count(UInt64(rounds), "round")) while the VM ran")
    }
    for line in memoryLines { lines.append("  \(line)") }
    var text = lines.map { "\($0)\n" }.joined()
    text +=
      report.engine == .capture
      ? report.transfer.text : report.transfer.textOfSomebodyElse
    for line in diskLines { text += "  \(line)\n" }
    return text
  }

  var problem: String? {
    guard case .failed(let error, _) = report.after else { return nil }
    return "The image is complete, but the VM may not be as it was to be: \(error.description)"
  }

  /// What became of the VM.
  private var stillness: String {
    let state =
      switch report.after {
      case .ended: "has ended"
      case .state(let state), .failed(_, let state?): "is \(state)"
      case .failed(_, nil): "is in a state that is not known"
      }
    guard let pause = report.pause else {
      return "The VM was \(report.stateBefore) and \(state)."
    }
    return "The VM stood still for \(NumberText.duration(pause)) and \(state)."
  }

  /// A line for each way in which memory was read.
  private var memoryLines: [String] {
    var order: [String] = []
    var bytes: [String: UInt64] = [:]
    for block in report.memory {
      let way = block.route.text
      if bytes[way] == nil { order.append(way) }
      bytes[way, default: 0] += block.byteCount
    }
    return order.map { "\(NumberText.bytes(bytes[$0] ?? 0)) of RAM \($0)" }
  }

  private var diskLines: [String] {
    let snapshots = report.disks.compactMap { disk in
      disk.overlay.map {
        "Disk \(disk.name): \(disk.file) belongs to the image; the VM writes to \($0) now."
      }
    }
    guard report.disksDiverge else { return snapshots }
    // Of the others the user was warned.
    let names = report.disks.filter { $0.overlay == nil && !$0.isUnlinked }
      .map { "\($0.name) (\($0.file))" }
    guard !names.isEmpty else { return snapshots }
    return snapshots + [
      "Note: the VM goes on and writes to \(names.joined(separator: ", ")): the image no longer fits "
        + "that. Use --then quit or --then pause, or --snapshot-disks, or copy the disks while the VM is paused."
    ]
  }

  var json: JSON {
    JSON(
      image: image.string, engine: report.engine.rawValue,
      engineReasons: report.engineReasons.map(\.description),
      machineType: report.machineType, fileSize: report.fileSize, blocks: report.blocks,
      memory: report.memory.map {
        JSON.Memory(idstr: $0.idstr, byteCount: $0.byteCount, route: $0.route.name)
      },
      pauseSeconds: report.pause?.inSeconds,
      live: report.live.map { LiveText(report: $0).json }, rounds: report.rounds,
      stateBefore: report.stateBefore, stateAfter: report.stateAfter,
      hasEnded: report.after == .ended, problem: problem,
      disks: report.disks.map {
        JSON.Disk(
          name: $0.name, file: $0.file, isUnlinked: $0.isUnlinked, overlay: $0.overlay?.string)
      }, disksDiverge: report.disksDiverge, transfer: TransferJSON(report.transfer))
  }

  /// What programs get.
  struct JSON: Encodable {
    var type = "report"
    var schemaVersion = 2
    var command = "save"
    var image: String
    var engine: String
    var engineReasons: [String]
    var machineType: String
    var fileSize: UInt64
    var blocks: [String]
    /// How each block was read; empty where QEMU wrote the image.
    var memory: [Memory]
    /// Absent for a VM that was paused before.
    var pauseSeconds: Double?
    /// Absent unless the save was live and by capture.
    var live: LiveText.JSON?
    /// Absent unless the save was live and by QEMU.
    var rounds: Int?
    var stateBefore: String
    /// Absent for a VM that has ended, and where it is not known.
    var stateAfter: String?
    /// Whether the VM was told to quit, and QEMU has ended.
    var hasEnded: Bool
    /// Why the VM may not be as it was to be; absent if it is.
    var problem: String?
    var disks: [Disk]
    /// Whether the VM goes on with disks that the image then no longer fits.
    var disksDiverge: Bool
    var transfer: TransferJSON

    struct Memory: Encodable {
      var idstr: String
      var byteCount: UInt64
      var route: String
    }

    struct Disk: Encodable {
      var name: String
      var file: String
      /// Whether the file has no name any more, and is lost when QEMU ends.
      var isUnlinked: Bool
      var overlay: String?
    }
  }
}
