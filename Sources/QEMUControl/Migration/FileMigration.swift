import Glibc
import MappedRAM

/// A migration that QEMU carries out, out of or into a file, watched from here.
struct FileMigration {
  let connection: QMPConnection

  /// How often QEMU is asked how far it is: at first, and later on.
  static let intervals = (shortest: Duration.milliseconds(1), longest: Duration.milliseconds(50))

  /// Lets the VM be saved to `uri`. Returns once it is `completed`.
  func save(
    to uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    try talking { () throws(QMPError) in
      try connection.execute(.migrate(uri: uri))
    }
    try wait(progress, cancellation, canCancel: true)
  }

  /// Lets the waiting VM load `uri`. Returns once it is `completed`.
  func load(
    from uri: String, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) {
    try talking { () throws(QMPError) in try connection.startIncoming(uri: uri) }
    try wait(progress, cancellation, canCancel: false)
  }

  /// Waits for the end.
  private func wait(
    _ progress: Progress, _ cancellation: Cancellation, canCancel: Bool
  ) throws(VMError) {
    var interval = Self.intervals.shortest
    var isCancelling = false
    while true {
      let info = try talking { () throws(QMPError) in
        try connection.execute(.queryMigrate)
      }
      if let ram = info.ram {
        progress.report(
          totalBytes: ram.total, doneBytes: ram.total - min(ram.remaining, ram.total),
          writtenBytes: ram.transferred)
      }
      switch info.status {
      case .completed: return
      case .failed: throw .migrationFailed(info.errorDescription)
      case .cancelled: throw .image(.cancelled)
      default: break
      }
      if cancellation.isCancelled, !isCancelling {
        guard canCancel else { throw .image(.cancelled) }
        isCancelling = true
        try talking { () throws(QMPError) in try connection.execute(.migrateCancel) }
        continue
      }
      let micros = interval.components.attoseconds / 1_000_000_000_000
      usleep(UInt32(micros))
      interval = min(interval * 2, Self.intervals.longest)
    }
  }
}
