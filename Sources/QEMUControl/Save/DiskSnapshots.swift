import Glibc
import LinuxIO
import SystemPackage

/// External snapshots of all writable disks of a VM, taken together: from then on it writes to new files, and the old ones stay as
/// they were at that moment.
///
/// They are taken back where the save fails. Only where this process is killed they stay: the VM goes on with the new files, which
/// have all that it wrote since, and its watchdog, which may not remove files, leaves them alone.
struct DiskSnapshots {
  private let connection: QMPConnection
  private let snapshots: [DiskSnapshot]

  /// Plans snapshots of `disks` with files in `directory`, called after `image`.
  ///
  /// - Throws: `snapshotExists` where a file has the name.
  init(
    of disks: [Disk], in directory: FilePath, for image: FilePath, by connection: QMPConnection
  ) throws(VMError) {
    self.connection = connection
    let stem = image.stem ?? "image"
    let mark = String(UInt32.random(in: 0...UInt32.max), radix: 16)
    var planned: [DiskSnapshot] = []
    for disk in disks {
      guard let node = disk.medium?.node else { continue }
      let name = disk.label.split(separator: "/").last.map(String.init) ?? "disk"
      let safe = String(name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
      let overlay = directory.appending("\(stem).\(safe).\(planned.count).qcow2")
      if InodeType(at: overlay) != nil { throw .snapshotExists(overlay) }
      planned.append(
        DiskSnapshot(
          node: node, file: overlay.string, newNode: "mapped-ram-\(mark)-\(planned.count)"))
    }
    snapshots = planned
  }

  /// The file to which `disk` will write.
  func overlay(of disk: Disk) -> FilePath? {
    snapshots.first { $0.node == disk.medium?.node }.map { FilePath($0.file) }
  }

  /// Takes all of them, or none.
  func take() throws(QMPError) {
    guard !snapshots.isEmpty else { return }
    do throws(QMPError) {
      try connection.execute(.snapshot(snapshots))
    } catch {
      // QEMU makes the files before it finds that it cannot use them.
      removeFiles()
      throw error
    }
  }

  /// Takes the snapshots back: what was written since goes into the old files, the new ones go away. The VM may run.
  ///
  /// - Throws: `snapshotsRemain` where QEMU does not do it.
  func undo() throws(VMError) {
    for snapshot in snapshots {
      do throws(QMPError) {
        try commit(snapshot)
      } catch {
        throw .snapshotsRemain(snapshots.map { FilePath($0.file) }, cause: error)
      }
    }
    removeFiles()
  }

  private func commit(_ snapshot: DiskSnapshot) throws(QMPError) {
    let job = snapshot.newNode
    try connection.execute(
      .blockCommit(job: job, device: snapshot.newNode, baseNode: snapshot.node))
    try wait(job) { $0?.isReady ?? true }
    try connection.execute(.blockJobComplete(job))
    try wait(job) { $0 == nil }
  }

  /// How long a commit may take before it is given up: what was written in the time of a save is little.
  private static let patience = Duration.seconds(60)

  /// Waits until the job is as wanted.
  private func wait(_ id: String, _ isDone: (BlockJob?) -> Bool) throws(QMPError) {
    let deadline = ContinuousClock.now + Self.patience
    while true {
      let jobs = try connection.execute(.queryBlockJobs)
      if isDone(jobs.first { $0.id == id }) { return }
      guard ContinuousClock.now < deadline else {
        throw .timedOut(command: "block-commit", connection.path, after: Self.patience)
      }
      usleep(2000)
    }
  }

  private func removeFiles() {
    for snapshot in snapshots {
      // SAFETY: the path's bytes end with a zero. A file that is not there was not made.
      _ = unsafe FilePath(snapshot.file).withPlatformString { unsafe unlink($0) }
    }
  }
}

extension DiskSnapshots? {
  /// Takes the snapshots, if there are to be any, and runs `body`; where that fails, the VM goes on first, and then they are taken
  /// back: a migration may have taken its disks from QEMU until then.
  func taken<Value>(
    during standStill: StandStill, _ body: () throws(VMError) -> Value
  ) throws(VMError) -> Value {
    var areTaken = false
    do throws(VMError) {
      return try standStill.endingIfFailed { () throws(VMError) in
        if let self {
          try talking { () throws(QMPError) in try self.take() }
          areTaken = true
        }
        return try body()
      }
    } catch {
      if let self, areTaken { try self.undo() }
      throw error
    }
  }
}
