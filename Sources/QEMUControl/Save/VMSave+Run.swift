import LinuxIO
import LinuxProcesses
public import MappedRAM
import MappedRAMFormat
public import QMP
import SystemPackage

extension VMSave {
  /// Saves the VM behind `connection`.
  ///
  /// The image appears under its name complete and durable, or not at all. Whatever goes wrong, also the sudden end of this
  /// process, the VM is afterwards what it was before.
  ///
  /// - Parameter onWarning: told what the save goes on in spite of, before the VM is paused.
  /// - Throws: `VMError`.
  public func run(
    _ connection: QMPConnection, progress: Progress = Progress(),
    cancellation: Cancellation = Cancellation(), onWarning: (VMSaveWarning) -> Void = { _ in }
  ) throws(VMError) -> VMSaveReport {
    let vm = try talking { () throws(QMPError) in try RunningVM(asking: connection) }
    guard allowsLibvirt || !vm.isManagedByLibvirt else {
      throw .managedByLibvirt(domain: vm.name)
    }
    try Self.check(vm)
    let access = GuestMemory.access(to: vm, processID: processID)
    try checkTarget(vm, access, connection)
    let warning = try checkRoom(vm) {
      VMInspection.memory(of: vm, access).reduce(0) { $0 + $1.savedBytesAtMost }
    }
    if let warning { onWarning(warning) }
    if inPlace, let warning = VMSaveWarning(ofReadersOf: image) { onWarning(warning) }
    let places = DiskPlaces(of: vm, processID: processID)
    let unlinked = vm.writableDisks.filter { places.isUnlinked($0) }
    let choice = CaptureChoice(vm, memory: access)
    try checkEngine(choice)
    let snapshots = try snapshotDirectory.map { (directory) throws(VMError) in
      try DiskSnapshots(
        of: vm, processID: processID, owner: Self.user(of: access), in: directory, for: image,
        by: connection)
    }
    // Snapshots of such disks are refused.
    if !unlinked.isEmpty { onWarning(.unlinkedDisks(unlinked.map(\.label))) }
    if afterwards == .resume, !vm.runState.canBeResumed {
      throw .state(found: vm.runState.rawValue, expected: ["running", "paused"])
    }
    let session = try VMSession(
      connection, vm, process: Self.process(of: access), watchdog: watchdogProgram,
      progress: progress, cancellation: cancellation)
    if try !session.arm() { onWarning(.noWatchdog(watchdogProgram)) }
    var report = try save(vm, choice, snapshots, session, progress, cancellation)
    report.stateBefore = session.stateBefore.rawValue
    report.disks = vm.writableDisks.map { disk in
      VMSaveReport.DiskOfImage(
        name: disk.label, file: places.name(of: disk),
        overlay: snapshots?.overlay(of: disk), isUnlinked: unlinked.contains(disk))
    }
    report.after = end(session)
    report.pause = session.downtime
    return report
  }

  /// QEMU's process, where it is known for certain: it has the VM's memory.
  private static func process(of access: Result<GuestMemory, CaptureObstacle>) -> Int32? {
    guard case .success(let memory) = access else { return nil }
    return memory.processID
  }

  /// The user as which QEMU opens files, where its process is known for certain: it has the VM's memory.
  private static func user(
    of access: Result<GuestMemory, CaptureObstacle>
  ) -> FileOwner? {
    process(of: access).flatMap { ProcessOwner.user(of: $0) }
  }

  /// Saves with the engine of the choice.
  private func save(
    _ vm: RunningVM, _ choice: CaptureChoice, _ snapshots: DiskSnapshots?,
    _ session: VMSession, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> VMSaveReport {
    if case .possible(let memory, let platform) = choice, engine != .qemu {
      let capture = CaptureSave(
        save: self, vm: vm, memory: memory, platform: platform, session: session,
        snapshots: snapshots)
      return VMSaveReport(vm, try capture.run(progress, cancellation), memory)
    }
    let save = QEMUSave(save: self, vm: vm, session: session, snapshots: snapshots)
    do throws(VMError) {
      var report = VMSaveReport(vm, try save.run(progress, cancellation))
      if engine == .auto { report.engineReasons = choice.obstacles }
      return report
    } catch .migrationFailed(let path, let reason, _) {
      throw .migrationFailed(path, reason: reason, hints: Self.hints(choice, session.connection))
    }
  }

  /// Looks whether the engine that will be taken can do what is asked.
  private func checkEngine(_ choice: CaptureChoice) throws(VMError) {
    let isDevice = File.isBlockDevice(image)
    switch (engine, choice) {
    case (.capture, .impossible(let obstacles)): throw .cannotCapture(obstacles)
    // QEMU knows nothing of these devices.
    case (.auto, .impossible(let obstacles)) where !devices.isEmpty:
      throw .cannotCapture(obstacles)
    case (.auto, .impossible(let obstacles)) where isDevice:
      throw .deviceByQEMU(image, obstacles)
    case (.qemu, _) where isDevice: throw .deviceByQEMU(image, choice.obstacles)
    default: break
    }
  }

  /// A migration that somebody else has begun is not ours to end, nor to be disturbed.
  private static func check(_ vm: RunningVM) throws(VMError) {
    for obstacle in SaveObstacle.all(of: vm) {
      switch obstacle {
      case .migrating(let status):
        throw .state(found: "migration: \(status.rawValue)", expected: ["no migration under way"])
      // A capture can save a VM that has been migrated.
      case .runState(let state) where state != .postMigrate:
        throw .state(found: state.rawValue, expected: ["running", "paused"])
      // Of the rest it depends on the engine.
      case .runState, .tooOld, .blocked: break
      }
    }
  }

  /// The image must not take the place of what the VM uses, nor, unless that is allowed, of anything but an image.
  private func checkTarget(
    _ vm: RunningVM, _ access: Result<GuestMemory, CaptureObstacle>, _ connection: QMPConnection
  ) throws(VMError) {
    let files = try FilesInUse(by: vm, processID: processID, memory: access, asking: connection)
    if let use = files.use(of: image) { throw .usedByVM(image, use) }
    try moving { () throws(ImageError) in
      try TargetContents.check(
        image, inPlace: inPlace, replacing: replacing, vm: vm.identity)
    }
  }

  /// What may have kept QEMU from saving a VM, and how to do without it.
  private static func hints(
    _ choice: CaptureChoice, _ connection: QMPConnection
  ) -> [MigrationHint] {
    // That the jobs cannot be had says less than why it came to it.
    let jobs = (try? connection.execute(.queryBlockJobs)) ?? []
    var hints: [MigrationHint] = []
    if !jobs.isEmpty { hints.append(.jobs(jobs.map { "\"\($0.id)\" (\($0.kind))" })) }
    if case .possible = choice { hints.append(.canCapture) }
    return hints
  }

  /// Does what is to be done with a VM whose image is in place, and looks what it is then. Nothing that fails here takes the image away.
  private func end(_ session: VMSession) -> VMSaveReport.After {
    let failure = session.complete(resumes: resumes)
    do throws(VMError) {
      if afterwards == .quit {
        try session.quit()
        return .ended
      }
      var state = try session.execute(.queryStatus)
      if let failure { return .failed(failure, state: state.rawValue) }
      if afterwards == .resume, !state.isLive, !session.stateBefore.isLive {
        do throws(VMError) {
          try session.resumePaused()
        } catch {
          return .failed(error, state: state.rawValue)
        }
        state = try session.execute(.queryStatus)
      }
      let expected = expectedState(of: session)
      return state.isLive == expected.isLive
        ? .state(state.rawValue)
        : .failed(
          .state(found: state.rawValue, expected: [expected.rawValue]), state: state.rawValue)
    } catch {
      return .failed(failure ?? error, state: nil)
    }
  }

  /// What the VM is to be in the end: it runs, or does not.
  private func expectedState(of session: VMSession) -> RunState {
    switch afterwards {
    case .resume: .running
    case .pause, .quit: .paused
    case nil: session.stateBefore
    }
  }
}
