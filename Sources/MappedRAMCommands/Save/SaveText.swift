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
      "  \(downtime)",
    ]
    for reason in report.engineReasons {
      lines.append("  Note: QEMU wrote the image by itself. \(reason.text)")
    }
    if let sent = report.sent {
      lines.append(
        "  Memory as it was in that pause, by QEMU's background snapshot: QEMU sent \(NumberText.count(sent.pages, "page")), "
          + "\(NumberText.count(sent.writtenPages, "page")) of them before they had been read")
    }
    if let huge = report.hugeMemory, huge.mendedBytes < huge.splitBytes {
      let left = NumberText.bytes(huge.splitBytes - huge.mendedBytes)
      lines.append(
        "  Note: \(left) of the guest's memory have lost their huge pages, which makes the guest slower for a while."
          + (huge.refusal.map { " \($0)" } ?? ""))
    }
    if let live = report.live { lines += LiveText(report: live).lines.map { "  \($0)" } }
    let way = report.engine == .qemu ? "by QEMU itself" : "in rounds"
    for obstacle in report.protectionObstacles where obstacle != .notWanted {
      lines.append("  Note: saved \(way), not by a snapshot. \(obstacle)")
    }
    if let choice = report.liveChoice {
      lines += LiveChoiceText(choice: choice).lines.map { "  \($0)" }
    }
    var text = lines.map { "\($0)\n" }.joined()
    text +=
      report.engine == .capture
      ? report.transfer.text : report.transfer.textOfQEMU
    if let base = report.transfer.base { text += "  \(base.sentence)\n" }
    if !report.transfer.hasChecksums { text += "  The image has no checksums\n" }
    for line in diskLines { text += "  \(line)\n" }
    return text
  }

  var details: String {
    var lines = ["Layout \(report.layout.rawValue)"] + memoryLines
    if let huge = report.hugeMemory {
      lines.append(
        "\(NumberText.bytes(huge.splitBytes)) of the guest's huge pages were split by QEMU's protection; "
          + "\(NumberText.bytes(huge.mendedBytes)) are huge again")
    }
    if let live = report.live, live.hashBytes > 0 { lines.append(LiveText(report: live).hashes) }
    return lines.map { "  \($0)\n" }.joined()
      + (report.engine == .capture ? report.transfer.details : "")
  }

  var problem: String? {
    let isLive = report.live != nil || report.sent != nil
    return failure.map {
      "The image is complete, but the VM is not as asked: "
        + "\(CommandError.vm($0, output: nil, isLive: isLive))"
    }
  }

  /// Why the VM is not as asked, if it is not.
  var failure: VMError? {
    if case .failed(let error, _) = report.after { error } else { nil }
  }

  /// How long the VM was paused, and what it is now.
  private var downtime: String {
    let state =
      switch report.after {
      case .ended: "QEMU has ended"
      case .state(let state), .failed(_, let state?): "now \(state)"
      case .failed(_, nil): "its state is unknown"
      }
    guard let pause = report.pause else { return "The VM was \(report.stateBefore); \(state)" }
    return "Paused for \(NumberText.shortDuration(pause)); \(state)"
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
      disk.overlay.map { overlay in
        let writes =
          report.hasRunOn
          ? "what the VM has written since is in \(overlay)." : "the VM writes to \(overlay) now."
        return "Disk \(disk.name): \(disk.file) belongs to the image; \(writes)"
      }
    }
    guard report.disksDiverge else { return snapshots }
    // Of the others the user was warned.
    let names = report.disks.filter { $0.overlay == nil && !$0.isUnlinked }
      .map { "\($0.name) (\($0.file))" }
    guard !names.isEmpty else { return snapshots }
    return snapshots + [
      "Note: the VM is running and writes to \(names.joined(separator: ", ")), which the image then no longer "
        + "matches. Use --then quit or --then pause, or --snapshot-disks, or copy the disks while the VM is paused."
    ]
  }
}

/// What is said of the rounds of a live save.
struct LiveText {
  var report: LiveReport

  /// A line for the rounds, and a note where the save did not converge.
  var lines: [String] {
    let written = report.rounds.map { NumberText.bytes($0.changedBytes) }.joined(separator: ", ")
    var rounds =
      "\(NumberText.count(UInt64(report.rounds.count), "round")) while the VM ran: \(written); "
      + "\(NumberText.bytes(report.lastRound.changedBytes)) while it was paused"
    if let rate = report.forecast?.dirtyBytesPerSecond {
      rounds += "; dirty rate \(NumberText.bytes(UInt64(rate)))/s"
    }
    var lines = [rounds]
    if !report.hasConverged {
      lines.append(
        "Note: the save did not converge: further rounds would not have shortened the downtime, so the VM was paused for longer than asked."
      )
    }
    return lines
  }

  /// A line on how changes were found.
  var hashes: String {
    "Changes were found by hashes of all pages, read in each round; "
      + "they took up to \(NumberText.bytes(report.hashBytes)) of memory"
  }
}

/// What is said of why a live save was made in rounds, or by QEMU itself.
struct LiveChoiceText {
  var choice: LiveChoice

  /// Notes; none where rounds kept what was asked for.
  var lines: [String] {
    let wanted = NumberText.shortDuration(choice.wanted)
    guard choice.takesQEMU else {
      guard choice.roundsTakeTooLong else { return [] }
      if let qemu = choice.qemuDowntime {
        return [
          "Note: QEMU's own live save was not taken: it was expected to pause the VM for \(NumberText.shortDuration(qemu)); "
            + "\(wanted) were asked for."
        ]
      }
      return choice.obstacles.map { "Note: QEMU's own live save was not taken. \($0)" }
    }
    let rounds = NumberText.count(UInt64(choice.rounds), "round")
    let reading = choice.forecast.readingDowntime.map {
      ", \(NumberText.shortDuration($0)) of them to read all memory"
    }
    return [
      "Note: QEMU's own live save was taken after \(rounds). Further rounds were expected to end in a pause of "
        + "\(NumberText.shortDuration(choice.forecast.expectedDowntime))\(reading ?? ""); QEMU in one of "
        + "\(choice.qemuDowntime.map { NumberText.shortDuration($0) } ?? "?"); \(wanted) were asked for."
    ]
  }
}

extension BlockMemory.Route {
  /// What was done with memory of this kind.
  var text: String {
    switch self {
    case .process:
      "copied from QEMU's process (process_vm_readv), as it is private or of huge pages"
    case .file(let path): "read from shared memory (\(path))"
    }
  }
}

extension BaseReport {
  /// What came of the base, for people.
  var sentence: String {
    let base = TerminalText.line(path.string)
    return obstacle.map { "Note: the image shares nothing with \(base). \($0)" }
      ?? "Shares \(NumberText.bytes(sharedBytes)) with \(base)"
  }
}
