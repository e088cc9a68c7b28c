import Glibc
import MappedRAM
import MappedRAMFormat

/// A migration that QEMU carries out, out of or into a file, watched from here.
struct Migration {
  let connection: QMPConnection

  /// How often QEMU is asked how far it is: at first, and later on.
  static let intervals = (shortest: Duration.milliseconds(1), longest: Duration.milliseconds(50))

  /// Lets the VM be saved to `uri`. Returns once it is `completed`.
  func save(
    to uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    try talking { () throws(QMPError) in
      _ = try connection.execute("migrate", arguments: ["uri": .string(uri)])
    }
    try wait(progress, cancellation, canCancel: true)
  }

  /// Lets the waiting VM load `uri`. Returns once it is `completed`.
  func load(
    from uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    try talking { () throws(QMPError) in
      let arguments: JSONValue = ["uri": .string(uri)]
      do throws(QMPError) {
        // Without it a QEMU that cannot load ends, and takes its reason with it. QEMU 9.0 does not know it.
        _ = try connection.execute(
          "migrate-incoming", arguments: ["uri": .string(uri), "exit-on-error": false])
      } catch {
        guard case .refused(_, _, let text) = error, text.contains("exit-on-error") else {
          throw error
        }
        _ = try connection.execute("migrate-incoming", arguments: arguments)
      }
    }
    try wait(progress, cancellation, canCancel: false)
  }

  /// Waits for the end.
  private func wait(
    _ progress: Progress, _ cancellation: Cancellation, canCancel: Bool
  ) throws(VMError) {
    var interval = Self.intervals.shortest
    var isCancelling = false
    while true {
      let answer = try talking { () throws(QMPError) in
        QMPAnswer(try connection.execute("query-migrate"), to: "query-migrate")
      }
      try report(answer, to: progress)
      let status = try talking { () throws(QMPError) in
        try answer.optional("status")?.string() ?? "none"
      }
      switch status {
      case "completed": return
      case "failed":
        throw .migrationFailed(answer.optional("error-desc")?.value.string ?? "no reason was given")
      case "cancelled": throw .image(.cancelled)
      default: break
      }
      if cancellation.isCancelled, !isCancelling {
        guard canCancel else { throw .image(.cancelled) }
        isCancelling = true
        try talking { () throws(QMPError) in _ = try connection.execute("migrate_cancel") }
        continue
      }
      let micros = interval.components.attoseconds / 1_000_000_000_000
      usleep(UInt32(micros))
      interval = min(interval * 2, Self.intervals.longest)
    }
  }

  private func report(_ answer: QMPAnswer, to progress: Progress) throws(VMError) {
    guard let ram = answer.optional("ram"),
      let total = ram.optional("total")?.value.unsignedInteger,
      let remaining = ram.optional("remaining")?.value.unsignedInteger
    else { return }
    progress.report(
      totalBytes: total, doneBytes: total - min(remaining, total),
      writtenBytes: ram.optional("transferred")?.value.unsignedInteger ?? 0)
  }
}
