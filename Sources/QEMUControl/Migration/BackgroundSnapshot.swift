import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// QEMU's background snapshot, of which we want one thing: that QEMU sends us each page before the guest changes it.
///
/// A migration with this capability protects the guest's memory from being written (userfaultfd), and sends it page by page; a page that is
/// about to be written comes first, and is flushed before it may be. Devices that give memory back (virtio-balloon, virtio-mem) keep it
/// meanwhile. (Source: QEMU v10.0.2, `migration/ram.c`, `ram_save_host_page` and `ram_write_tracking_start`; `hw/virtio/virtio-balloon.c`,
/// `virtio_balloon_inhibited`.) What only QEMU itself can write, as flash memory, it does not protect. Before QEMU 9.0 it resumed a VM that was
/// paused before (source: the patch "migration: preserve suspended for bg_migration" of January 2024).
enum BackgroundSnapshot {
  /// The oldest QEMU that leaves a paused VM paused.
  static let oldest = QEMUVersion(9, 0)
  /// The capability.
  static let capability = "background-snapshot"
  /// How often it is looked whether it has ended.
  static let interval = Duration.milliseconds(2)

  /// What QEMU's capabilities and parameters are to be. Hardly another capability goes with this one (`migration/options.c`).
  static func settings(of vm: RunningVM) -> ChangedSettings {
    ChangedSettings(
      of: vm, capabilities: [capability], keeping: ["events"],
      parameters: ["max-bandwidth": 0, "tls-creds": ""])
  }
}

extension VMSession {
  /// Hands QEMU a socket, under a name for `beginProtection`.
  func lend(_ socket: UnixSocket) throws(VMError) -> String {
    let name = "mapped-ram-\(String(UInt64.random(in: .min ... .max), radix: 16))"
    note { $0.namedDescriptor = name }
    try execute(.getDescriptor(socket.descriptor, named: name))
    return name
  }

  /// Begins a background snapshot into the socket `name`. The settings are as they have to be.
  ///
  /// - Parameters:
  ///   - before: a command that QEMU carries out right before.
  ///   - wait: waits for its answer.
  /// - Returns: what `wait` gave.
  func beginProtection<Answer, Value>(
    into name: String, limit: PauseLimit, behind before: QMPCommand<Answer>,
    _ wait: (SentCommand<Answer>) throws(VMError) -> Value
  ) throws(VMError) -> Value {
    note { $0.protection = Journal.Protection(limit: limit) }
    let (first, migrate) = try send(before, .migrate(uri: "fd:\(name)"))
    let value = try wait(first)
    do throws(VMError) {
      try answer(to: migrate)
    } catch {
      // The migration under way, if there is one, is another client's.
      if case .qmp(.refused) = error { note { $0.protection = nil } }
      throw error
    }
    note { $0.namedDescriptor = nil }
    return value
  }

  /// Ends the background snapshot, and looks whether it was under way until then, or had come to its end, so that no page has changed that
  /// was not sent.
  ///
  /// - Parameter isComplete: whether it has sent all pages.
  /// - Throws: why it was not: `migrationCancelled`, `migrationFailed`.
  func endProtection(of image: FilePath, isComplete: Bool) throws(VMError) {
    if isComplete {
      // It has its end at once. What is under way for longer may be another client's, and is not cancelled.
      let deadline = ContinuousClock.now + Unwind.Patience().closing
      while try executeAgain(.queryMigrate).isUnderWay, .now < deadline {
        sleep(for: BackgroundSnapshot.interval)
      }
      return note { $0.protection = nil }
    }
    let last = try VMError.asking { () throws(QMPError) in
      // Whether it was cancelled is seen below, also where the connection breaks before the answer.
      try reconnecting { () throws(QMPError) in
        let (look, _) = try connection.send(.queryMigrate, .migrateCancel)
        return try connection.answer(to: look)
      }
    }
    guard [.active, .completed].contains(last.status) else {
      throw try reasonForNoProtection(of: image)
    }
    try goBack { (unwind) throws(QMPError) in
      try unwind.endProtection(Unwind.Patience())
      return nil
    }
  }

  /// Why a background snapshot is not under way any more.
  func reasonForNoProtection(of image: FilePath) throws(VMError) -> VMError {
    let deadline = ContinuousClock.now + Unwind.Patience().migration
    var info = try execute(.queryMigrate)
    // Whoever has cancelled it may have done so a moment ago.
    while info.isUnderWay, .now < deadline {
      sleep(for: BackgroundSnapshot.interval)
      info = try execute(.queryMigrate)
    }
    if !info.isUnderWay { note { $0.protection = nil } }
    return info.status == .cancelled
      ? .migrationCancelled(image)
      : .migrationFailed(image, reason: info.errorDescription, hints: [.standardError])
  }
}
