import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUArguments
import QEMUControl
import SystemPackage

/// What `mapped-ram restore` says at its end.
struct RestoreReport: CommandReport {
  var image: FilePath
  var report: VMRestoreReport
  var notes: [LaunchNote] = []
  /// Devices whose states stand behind the image's stream and were not restored.
  var devicesLeft: [DeviceIdentity] = []
  /// The disks of a clone.
  var disks: [DiskClone] = []
  /// Where others talk to a QEMU that stays.
  var socket: FilePath?
  /// Where it writes what it has to say.
  var log: FilePath?

  var text: String {
    var lines = [
      "Restored \(image) by \(report.engine.rawValue) in \(NumberText.shortDuration(report.elapsed)); now \(report.state)"
    ]
    lines += ways.map { "  \($0)" }
    for reason in report.engineReasons {
      lines.append("  Note: QEMU loaded the image by itself. \(reason.text)")
    }
    lines += disks.map { "  Disk \($0.name): \($0.overlay), an overlay of \($0.file)" }
    lines += notes.map { "  Note: \($0.description)" }
    lines += report.deviations.map { "  \($0.label): \($0.description)" }
    if !devicesLeft.isEmpty {
      let names = devicesLeft.map { "\"\($0)\"" }.joined(separator: ", ")
      lines.append(
        "  Note: the image has states of devices beside the VM's own, which were not restored: \(names). "
          + "Restore them with --device.")
    }
    if report.engine == .map {
      lines.append(
        "  Do not change or remove \(image) while the VM runs: it is the VM's memory. Other VMs may run on it at the same time; they "
          + "share the random state and, unless their arguments differ, network addresses and disks."
      )
    }
    let text = lines.map { "\($0)\n" }.joined()
    return text + (report.transfer?.text ?? "")
  }

  var details: String { report.transfer?.details ?? "" }

  /// A line for each way in which blocks came into the VM.
  private var ways: [String] {
    let all: [(VMRestoreReport.Way, String)] = [
      (.mapped, "mapped from the image"), (.placed, "written into QEMU's memory"),
      (.stream, "in the migration stream"), (.loaded, "loaded by QEMU"),
    ]
    return all.compactMap { way, words in
      let blocks = report.blocks.filter { $0.way == way }
      guard !blocks.isEmpty else { return nil }
      let bytes = blocks.reduce(0) { $0 + $1.byteCount }
      return
        "\(NumberText.count(UInt64(blocks.count), "RAMBlock")) of \(NumberText.bytes(bytes)) \(words)"
    }
  }

  var table: String {
    guard let socket else { return "" }
    return "pid     \(report.processID ?? 0)\nsocket  \(socket)\n"
      + (log.map { "log     \($0)\n" } ?? "")
  }
}

extension Deviation {
  /// How much it should alarm.
  fileprivate var label: String {
    switch self {
    case .diskWentOn, .overlayWentOn: "WARNING"
    case .memory, .arguments: "Warning"
    case .laterSnapshot, .otherDisk: "Note"
    }
  }
}
