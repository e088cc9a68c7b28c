import Glibc
import LinuxIO
import MappedRAMFormat
import SystemPackage

/// External snapshots of all writable disks of a VM, taken together: from then on it writes to new files, and the old ones stay as
/// they were at that moment.
struct DiskSnapshots {
  private let connection: QMPConnection
  private let disks: [Disk]

  /// A disk, and the file that it will write to.
  struct Disk {
    /// As the VM's configuration names it.
    var name: String
    /// The argument by which QMP finds it: `device` or `node-name`.
    var reference: JSONValue.Member
    /// The node that is written to until the snapshot.
    var baseNode: String
    /// The node that is written to afterwards.
    var overlayNode: String
    /// The file of that node.
    var overlay: FilePath
  }

  /// Plans snapshots of `disks` with files in `directory`, called after `image`.
  ///
  /// - Throws: `snapshotExists` where a file has the name.
  init(
    of disks: [WritableDisk], in directory: FilePath, for image: FilePath,
    by connection: QMPConnection
  ) throws(VMError) {
    self.connection = connection
    let stem = image.stem ?? "image"
    var planned: [Disk] = []
    for (number, disk) in disks.enumerated() {
      let safe = String(
        disk.name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
      let overlay = directory.appending("\(stem).\(safe).\(number).qcow2")
      if InodeType(at: overlay) != nil { throw .snapshotExists(overlay) }
      planned.append(
        Disk(
          name: disk.name, reference: disk.reference, baseNode: disk.nodeName,
          overlayNode: "mapped-ram-\(UInt32.random(in: 0...UInt32.max))-\(number)",
          overlay: overlay))
    }
    self.disks = planned
  }

  /// The file to which the disk `name` will write.
  func overlay(of name: String) -> FilePath? { disks.first { $0.name == name }?.overlay }

  /// Takes all of them, or none.
  func take() throws(QMPError) {
    guard !disks.isEmpty else { return }
    let actions = disks.map { disk -> JSONValue in
      let data: [JSONValue.Member] = [
        disk.reference, .init(name: "snapshot-file", value: .string(disk.overlay.string)),
        .init(name: "snapshot-node-name", value: .string(disk.overlayNode)),
        .init(name: "format", value: "qcow2"),
      ]
      return ["type": "blockdev-snapshot-sync", "data": .object(data)]
    }
    do throws(QMPError) {
      _ = try connection.execute("transaction", arguments: ["actions": .array(actions)])
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
    for disk in disks {
      do throws(QMPError) {
        try commit(disk)
      } catch {
        throw .snapshotsRemain(disks.map(\.overlay), cause: error)
      }
    }
    removeFiles()
  }

  private func commit(_ disk: Disk) throws(QMPError) {
    let job = disk.overlayNode
    _ = try connection.execute(
      "block-commit",
      arguments: [
        "job-id": .string(job), "device": .string(disk.overlayNode),
        "base-node": .string(disk.baseNode),
      ])
    try wait(for: "ready", job)
    _ = try connection.execute("block-job-complete", arguments: ["device": .string(job)])
    try wait(for: nil, job)
  }

  /// Waits until the job has the status, or is no more.
  private func wait(for status: String?, _ job: String) throws(QMPError) {
    for _ in 0..<30_000 {
      let jobs = try connection.execute("query-block-jobs").elements ?? []
      let found = jobs.first { $0["device"]?.string == job }
      if found == nil || status != nil && found?["status"]?.string == status { return }
      usleep(2000)
    }
    throw .timedOut(command: "block-commit", connection.path, after: .seconds(60))
  }

  private func removeFiles() {
    for disk in disks {
      // SAFETY: the path's bytes end with a zero. A file that is not there was not made.
      _ = unsafe disk.overlay.withPlatformString { unsafe unlink($0) }
    }
  }
}

extension DiskSnapshots? {
  /// Takes the snapshots, if there are to be any, and runs `body`; where that fails, they are taken back.
  func undoneIfFailed<Value>(
    _ body: () throws(VMError) -> Value
  ) throws(VMError) -> Value {
    guard let self else { return try body() }
    try talking { () throws(QMPError) in try self.take() }
    do throws(VMError) {
      return try body()
    } catch {
      try self.undo()
      throw error
    }
  }
}
