import Glibc
import MappedRAMFormat
import QMP
import SystemPackage

/// QEMU's jobs that make snapshots' files, and that take snapshots back.
struct SnapshotJobs {
  let connection: QMPConnection

  /// Has the disk write to its old file again. Only where this does not throw, the new one is of no use any more.
  ///
  /// It may be called again, over another connection, whatever was done before.
  func takeBack(_ snapshot: DiskSnapshot) throws(QMPError) {
    if try topmostNodes().contains(snapshot.node) { return }
    var failure: QMPError?
    do throws(QMPError) {
      try commit(snapshot)
    } catch {
      failure = error
    }
    // A job that fails goes away as one that succeeds: only the disk tells.
    if try topmostNodes().contains(snapshot.node) { return }
    throw commitFailure(of: snapshot) ?? failure
      ?? .unexpectedAnswer(
        command: "query-block", place: "inserted.node-name", expected: snapshot.node)
  }

  private func commit(_ snapshot: DiskSnapshot) throws(QMPError) {
    let job = snapshot.newNode
    if try !connection.execute(.queryBlockJobs).contains(where: { $0.id == job }) {
      try connection.execute(
        .blockCommit(job: job, device: snapshot.newNode, baseNode: snapshot.node))
    }
    try wait(job) { $0?.isReady ?? true }
    try connection.execute(.blockJobComplete(job))
    try wait(job) { $0 == nil }
  }

  /// The nodes that the disks show.
  ///
  /// QEMU carries out one command after the other, and forgets those of a client that has gone (10.0.2, monitor/qmp.c): what it
  /// answers over a new connection holds for the commands before.
  private func topmostNodes() throws(QMPError) -> Set<String> {
    Set(try connection.execute(.queryBlock).compactMap { $0.medium?.node })
  }

  /// What QEMU said when the job of `snapshot` failed.
  private func commitFailure(of snapshot: DiskSnapshot) -> QMPError? {
    guard let events = try? connection.takeEvents() else { return nil }
    for event in events where event.name == "BLOCK_JOB_COMPLETED" {
      if event.data["device"] == .string(snapshot.newNode),
        case .string(let text)? = event.data["error"]
      {
        return .refused(
          command: "block-commit", errorClass: "GenericError", description: text)
      }
    }
    return nil
  }

  /// How long a job may take before it is given up: what was written in the time of a save is little.
  private static var patience: Duration { .seconds(60) }

  /// Waits until the job is as wanted.
  private func wait(_ id: String, _ isDone: (BlockJob?) -> Bool) throws(QMPError) {
    try wait("block-commit") { () throws(QMPError) in
      let jobs = try connection.execute(.queryBlockJobs)
      return isDone(jobs.first { $0.id == id })
    }
  }

  /// Runs the job that `command` begins, to its end.
  func finish(_ command: QMPCommand<Void>, _ id: String) throws(QMPError) {
    try connection.execute(command)
    var ended: ConcludedJob?
    try wait(command.name) { () throws(QMPError) in
      ended = try connection.execute(.queryConcludedJobs).first { $0.id == id }
      return ended != nil
    }
    try connection.execute(.dismiss(job: id))
    if let failure = ended?.failure {
      throw .refused(
        command: command.name, errorClass: "GenericError", description: failure)
    }
  }

  private func wait(
    _ command: String, _ isDone: () throws(QMPError) -> Bool
  ) throws(QMPError) {
    let deadline = ContinuousClock.now + Self.patience
    while try !isDone() {
      guard ContinuousClock.now < deadline else {
        throw .timedOut(command: command, connection.path, after: Self.patience)
      }
      usleep(2000)
    }
  }
}
