import LinuxIO
import MappedRAMFormat
import QMP
import SystemPackage

/// External snapshots of all writable disks of a VM, taken together: from then on it writes to new files, and the old ones stay as
/// they were at that moment.
///
/// They are taken back where the save fails, by `Unwind`, also where this process is killed.
struct DiskSnapshots {
  private let plans: [Plan]
  /// Who is to own the new files: QEMU's process.
  private let owner: FileOwner?
  /// What is to be done for one disk.
  struct Plan {
    var snapshot: DiskSnapshot
    /// The absolute name of what the disk is now.
    var base: String
    /// Its format.
    var format: String
    /// What the guest sees of it.
    var byteCount: Int64
    /// What QEMU calls the file of its topmost node.
    var shownFile: String

    /// The new file.
    var file: FilePath { FilePath(snapshot.file) }
  }

  /// Plans snapshots of the disks of `vm` with files in `directory`, called after `image`.
  ///
  /// - Parameter owner: who is to own the files, QEMU's user; `nil` where that is not known for certain, and QEMU makes them.
  /// - Throws: `noSnapshotDirectory`; `snapshotExists` where a file has the name; `relativeDisk` where it is not known what a disk's
  ///   file is; `unlinkedDisk` where it has no name any more; `encryptedDisk`, at whatever depth; `filteredDisk`.
  init(
    of vm: RunningVM, _ places: DiskPlaces, owner: FileOwner?, in directory: FilePath,
    for image: FilePath, by connection: QMPConnection
  ) throws(VMError) {
    let directory = DiskPlaces.absolute(directory)
    let found = InodeType(at: directory)
    // One that only QEMU may look at is there.
    guard found == .directory || found == nil && !Directory.isMissing(directory) else {
      throw .noSnapshotDirectory(directory, found: found)
    }
    let stem = image.stem ?? "image"
    let mark = String(UInt32.random(in: 0x1000_0000...UInt32.max), radix: 16)
    let graph = try VMError.asking { () throws(QMPError) in try BlockGraph(asking: connection) }
    var planned: [Plan] = []
    for var disk in vm.writableDisks {
      guard let shown = disk.medium, let node = shown.node else { continue }
      let number = "\(mark)-\(planned.count)"
      let overlay = directory.appending("\(stem).\(Self.fileName(disk)).\(number).qcow2")
      if InodeType(at: overlay) != nil { throw .snapshotExists(overlay) }
      guard !shown.isEncrypted, !graph.isEncrypted(node) else {
        throw .encryptedDisk(disk: disk.label)
      }
      guard let medium = graph.withoutFilters(shown) else {
        throw .filteredDisk(disk: disk.label, driver: shown.driver)
      }
      disk.medium = medium
      guard !places.isUnlinked(disk) else { throw .unlinkedDisk(disk: disk.label) }
      guard let base = places.absoluteName(of: disk) else {
        throw .relativeDisk(disk: disk.label, file: medium.file)
      }
      guard let byteCount = medium.virtualByteCount.flatMap(Int64.init(exactly:)) else {
        throw .qmp(
          .unexpectedAnswer(
            command: "query-block", place: "inserted.image.virtual-size", expected: "a size"))
      }
      planned.append(
        Plan(
          snapshot: DiskSnapshot(
            node: node, file: overlay.string, newNode: "mapped-ram-\(number)"),
          base: base, format: medium.driver, byteCount: byteCount, shownFile: shown.file))
    }
    plans = planned
    self.owner = owner
  }

  /// Snapshots that are planned already, with files that `owner` is to own.
  init(_ plans: [Plan], owner: FileOwner? = nil) {
    self.plans = plans
    self.owner = owner
  }

  private static func fileName(_ disk: Disk) -> String {
    let name = disk.label.split(separator: "/").last ?? "disk"
    return String(name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" })
  }

  /// The file to which `disk` will write.
  func overlay(of disk: Disk) -> FilePath? {
    plans.first { $0.snapshot.node == disk.medium?.node }?.file
  }

  /// Makes the files, empty overlays of what the disks have now: ours, so that no other program decides what is written to and
  /// who may read it.
  ///
  /// QEMU would write a relative path of the base into them, and QMP's change-backing-file is no way to mend that: it writes the
  /// overlay's own format as its base's (tried with QEMU 10.0.2).
  ///
  /// - Parameter session: notes them before.
  func prepare(_ session: VMSession) throws(VMError) {
    session.note { $0.snapshots = plans.map(\.snapshot) }
    let jobs = SnapshotJobs(connection: session.connection)
    for plan in plans {
      let (file, job) = (plan.snapshot.file, plan.snapshot.newNode)
      let isOurs = try makeFile(plan, session)
      try VMError.asking { () throws(QMPError) in
        if !isOurs {
          try jobs.finish(.createFile(file, job: job), job)
          File.narrow(plan.file)
        }
        try jobs.finish(
          .createOverlay(
            file, of: plan.base, format: plan.format, byteCount: plan.byteCount, job: job), job)
      }
    }
  }

  /// Makes the file of `plan`, for QEMU's user alone: who can read it can read what the guest writes. False where this process cannot,
  /// and QEMU may.
  private func makeFile(_ plan: Plan, _ session: VMSession) throws(VMError) -> Bool {
    guard let owner, owner.isReachable else { return false }
    do throws(SystemCallError) {
      try File.makeEmpty(at: plan.file, owner: owner)
      return true
    } catch {
      // No right to the directory or to give files away; a user without a number here; another mount.
      let mayDiffer: [Errno] = [
        .permissionDenied, .notPermitted, .invalidArgument, .readOnlyFileSystem,
        .noSuchFileOrDirectory,
      ]
      guard mayDiffer.contains(error.errno) else {
        // What is there is not ours to remove.
        session.note { $0.snapshots.removeAll { $0 == plan.snapshot } }
        throw .system(error)
      }
      return false
    }
  }

  /// Takes all of them, or none. After any error but a refusal it is not known which.
  func take(_ session: VMSession) throws(VMError) {
    guard !plans.isEmpty else { return }
    session.note { $0.snapshotsMayBeUsed = true }
    do throws(VMError) {
      try session.execute(.snapshot(plans.map(\.snapshot)))
    } catch {
      if case .qmp(.refused) = error { session.note { $0.snapshotsMayBeUsed = false } }
      throw error
    }
  }

  /// Looks whether the disks are those for which the files were made: another medium may have the name of the node, and its size.
  func check(_ session: VMSession) throws(VMError) {
    let disks = try session.execute(.queryBlock)
    var now: [String: Disk.Medium] = [:]
    for medium in disks.filter(\.isWritable).compactMap(\.medium) {
      if let node = medium.node { now[node] = medium }
    }
    for plan in plans {
      let medium = now.removeValue(forKey: plan.snapshot.node)
      guard let medium, medium.file == plan.shownFile,
        medium.virtualByteCount == UInt64(plan.byteCount)
      else { throw .diskChanged(node: plan.snapshot.node) }
    }
    // One that was plugged in since then is in the image, and would have no snapshot.
    if let node = now.keys.min() { throw .diskChanged(node: node) }
  }
}

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

  /// Waits for those of the jobs `ids` that make files, and forgets those that have come to their ends: what was given up would be there
  /// as long as QEMU is.
  func dismiss(_ ids: Set<String>) throws(QMPError) {
    do throws(QMPError) {
      var jobs: [Job] = []
      // One that still makes a file would make it after it was removed.
      try wait("blockdev-create") { () throws(QMPError) in
        jobs = try connection.execute(.queryJobs).filter { ids.contains($0.id) }
        return jobs.allSatisfy { $0.kind != "create" || $0.isConcluded }
      }
      for job in jobs where job.isConcluded { try connection.execute(.dismiss(job: job.id)) }
    } catch {
      // A job that stays takes some memory of QEMU; one that still makes a file may leave that behind.
      if error.isEndOfConversation { throw error }
    }
  }

  /// Runs the job that `command` begins, to its end.
  func finish(_ command: QMPCommand<Void>, _ id: String) throws(QMPError) {
    try connection.execute(command)
    var ended: Job?
    try wait(command.name) { () throws(QMPError) in
      ended = try connection.execute(.queryJobs).first { $0.id == id && $0.isConcluded }
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
      sleep(for: .milliseconds(2))
    }
  }
}
