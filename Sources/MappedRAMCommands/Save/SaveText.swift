import LinuxIO
import MappedRAM
import QEMUControl
import SystemPackage

/// What `mapped-ram save` says at its end.
struct SaveReport: CommandReport {
  var image: FilePath
  var report: VMSaveReport

  var text: String {
    let blocks = NumberText.count(UInt64(report.blocks.count), "RAMBlock")
    var lines = [
      "Saved \(image) by \(report.engine.rawValue): \(blocks), machine type \(report.machineType)",
      "  \(stillness)",
    ]
    for reason in report.engineReasons {
      lines.append("  Note: QEMU wrote the image by itself. \(reason.text)")
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
    return
      "The image is complete, but the VM may not be as it was to be: \(CommandError.vm(error, output: nil))"
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
}

/// What is said of the rounds of a live save.
struct LiveText {
  var report: LiveReport

  /// A line for the rounds, one for how changes were found, and a note where the pause had to be longer.
  var lines: [String] {
    let written = report.rounds.map { NumberText.bytes($0.changedBytes) }.joined(separator: ", ")
    var rounds =
      "\(NumberText.count(UInt64(report.rounds.count), "round")) while the VM ran: \(written); "
      + "\(NumberText.bytes(report.lastRound.changedBytes)) while it stood still"
    if let rate = report.forecast?.dirtyBytesPerSecond {
      rounds += "; the guest changed \(NumberText.bytes(UInt64(rate))) a second"
    }
    var lines = [
      rounds,
      "Changes were found by hashes of all pages, read in each round; "
        + "they take \(NumberText.bytes(report.hashBytes)) of memory at most",
    ]
    if report.isStuck {
      lines.append(
        "Note: further rounds would not have made the pause shorter, so the VM was paused for longer than was wished."
      )
    }
    return lines
  }
}

extension BlockMemory.Route {
  /// What was done with memory of this kind.
  var text: String {
    switch self {
    case .process:
      "copied from QEMU's process (process_vm_readv), where it is private or of huge pages"
    case .file(let path): "read from the shared memory that QEMU has it in (\(path))"
    }
  }
}
