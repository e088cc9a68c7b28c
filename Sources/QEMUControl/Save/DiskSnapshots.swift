import Glibc
import LinuxIO
import SystemPackage

/// External snapshots of all writable disks of a VM, taken together: from then on it writes to new files, and the old ones stay as
/// they were at that moment.
///
/// They are taken back where the save fails. Only where this process is killed they stay: the VM goes on with the new files, which
/// have all that it wrote since, and its watchdog, which may not remove files, leaves them alone.
struct DiskSnapshots {
  let connection: QMPConnection
  private let plans: [Plan]

  /// What is to be done for one disk.
  struct Plan {
    var snapshot: DiskSnapshot
    /// The absolute name of what the disk is now.
    var base: String
    /// What the overlay has to be made with, where QEMU would write a relative path into it.
    var make: (format: String, byteCount: Int64)?

    /// The new file.
    var file: FilePath { FilePath(snapshot.file) }
  }

  /// Plans snapshots of the disks of `vm` with files in `directory`, called after `image`.
  ///
  /// - Throws: `noSnapshotDirectory`; `snapshotExists` where a file has the name; `relativeDisk` where it is not known what a disk's
  ///   file is; `unlinkedDisk` where it has no name any more.
  init(
    of vm: RunningVM, processID: Int32?, in directory: FilePath, for image: FilePath,
    by connection: QMPConnection
  ) throws(VMError) {
    self.connection = connection
    let places = DiskPlaces(of: vm, processID: processID)
    let directory = DiskPlaces.absolute(directory)
    let found = InodeType(at: directory)
    guard found == .directory else { throw .noSnapshotDirectory(directory, found: found) }
    let stem = image.stem ?? "image"
    let mark = String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
    var planned: [Plan] = []
    for disk in vm.writableDisks {
      guard let medium = disk.medium, let node = medium.node else { continue }
      let number = "\(mark)-\(planned.count)"
      let overlay = directory.appending("\(stem).\(Self.fileName(disk)).\(number).qcow2")
      if InodeType(at: overlay) != nil { throw .snapshotExists(overlay) }
      guard !places.isUnlinked(disk) else { throw .unlinkedDisk(disk: disk.label) }
      guard let base = places.absoluteName(of: disk) else {
        throw .relativeDisk(disk: disk.label, file: medium.file)
      }
      var plan = Plan(
        snapshot: DiskSnapshot(node: node, file: overlay.string, newNode: "mapped-ram-\(number)"),
        base: base)
      if medium.hasRelativePath {
        guard let byteCount = medium.virtualByteCount.flatMap(Int64.init(exactly:)) else {
          throw .relativeDisk(disk: disk.label, file: medium.file)
        }
        plan.make = (medium.driver, byteCount)
        plan.snapshot.isMade = true
      }
      planned.append(plan)
    }
    plans = planned
  }

  /// Snapshots that are planned already.
  init(_ plans: [Plan], by connection: QMPConnection) {
    self.connection = connection
    self.plans = plans
  }

  private static func fileName(_ disk: Disk) -> String {
    let name = disk.label.split(separator: "/").last ?? "disk"
    return String(name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
  }

  /// The file to which `disk` will write.
  func overlay(of disk: Disk) -> FilePath? {
    plans.first { $0.snapshot.node == disk.medium?.node }?.file
  }

  /// Makes the files that QEMU would make with a relative path in them.
  ///
  /// QMP's change-backing-file is no way to mend that: it writes the overlay's own format as its base's (tried with QEMU 10.0.2).
  func prepare() throws(QMPError) {
    do throws(QMPError) {
      for plan in plans {
        guard let (format, byteCount) = plan.make else { continue }
        let (file, job) = (plan.snapshot.file, plan.snapshot.newNode)
        try finish(.createFile(file, job: job), job)
        try finish(
          .createOverlay(file, of: plan.base, format: format, byteCount: byteCount, job: job), job)
      }
    } catch {
      // No disk has them yet.
      for plan in plans { remove(plan.file) }
      throw error
    }
  }

  /// Takes all of them, or none. After any error but `refused` it is not known which.
  func take() throws(QMPError) {
    guard !plans.isEmpty else { return }
    do throws(QMPError) {
      try connection.execute(.snapshot(plans.map(\.snapshot)))
    } catch {
      // QEMU makes the files before it finds that it cannot use them.
      if case .refused = error { for plan in plans { remove(plan.file) } }
      throw error
    }
    for plan in plans { protect(plan) }
  }

  /// Takes the snapshots back: what was written since goes into the old files, the new ones go away. The VM may run.
  ///
  /// - Parameter cause: why the save failed.
  /// - Throws: `snapshotsRemain` with those that QEMU does not take back. Their files stay.
  func undo(after cause: VMError) throws(VMError) {
    var remaining: [FilePath] = []
    var reason: QMPError?
    for plan in plans {
      do throws(QMPError) {
        try takeBack(plan.snapshot)
        remove(plan.file)
      } catch {
        remaining.append(plan.file)
        reason = reason ?? error
      }
    }
    if let reason { throw .snapshotsRemain(remaining, cause: cause, reason: reason) }
  }

  /// Who can read the new file can read what the guest writes: not more may than could before.
  private func protect(_ plan: Plan) {
    var status = stat()
    // SAFETY: the paths' bytes end with a zero, and `status` has the size that stat fills. A file of another user stays as it is.
    unsafe FilePath(plan.base).withPlatformString { base in
      let isThere = unsafe plan.base.hasPrefix("/") && stat(base, &status) == 0
      let mode = isThere ? status.st_mode & 0o666 | 0o600 : 0o600
      _ = unsafe plan.file.withPlatformString { unsafe chmod($0, mode) }
    }
  }

  private func remove(_ file: FilePath) {
    // SAFETY: the path's bytes end with a zero. A file that is not there was not made.
    _ = unsafe file.withPlatformString { unsafe unlink($0) }
  }
}

extension DiskSnapshots? {
  /// Takes the snapshots, if there are to be any, and runs `body`; where that fails, the VM goes on first, and then they are taken
  /// back: a migration may have taken its disks from QEMU until then.
  func taken<Value>(
    during standStill: StandStill, _ body: () throws(VMError) -> Value
  ) throws(VMError) -> Value {
    var mayBeTaken = false
    do throws(VMError) {
      return try standStill.endingIfFailed { () throws(VMError) in
        if let self {
          try talking { () throws(QMPError) in
            try self.prepare()
            mayBeTaken = true
            do throws(QMPError) {
              try self.take()
            } catch {
              if case .refused = error { mayBeTaken = false }
              throw error
            }
          }
        }
        return try body()
      }
    } catch {
      if let self, mayBeTaken { try self.undo(after: error) }
      throw error
    }
  }
}
