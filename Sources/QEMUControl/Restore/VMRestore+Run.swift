import LinuxIO
import LinuxProcesses
public import MappedRAM
import MappedRAMFormat
public import QMP
import SystemPackage

extension VMRestore {
  /// Restores `source` into the VM behind `connection`.
  ///
  /// Before anything is touched the VM is compared with what the image needs. If this throws later, the VM holds a part of the
  /// image: it must be started anew.
  ///
  /// - Throws: `VMError`.
  public func run(
    _ source: RestoreSource, into connection: QMPConnection, progress: Progress = Progress(),
    cancellation: Cancellation = Cancellation()
  ) throws(VMError) -> VMRestoreReport {
    try run(
      source, into: connection, progress: progress, cancellation: cancellation, found: { _ in })
  }

  /// The same; `found` is given QEMU's process once that has been found.
  func run(
    _ source: RestoreSource, into connection: QMPConnection, progress: Progress,
    cancellation: Cancellation, found: (ProcessHandle) throws(VMError) -> Void
  ) throws(VMError) -> VMRestoreReport {
    let start = ContinuousClock.now
    let vm = try talking { () throws(QMPError) in try RunningVM(asking: connection) }
    guard vm.runState == .inMigrate else {
      throw .state(found: vm.runState.rawValue, expected: [RunState.inMigrate.rawValue])
    }
    if vm.migration.isUnderWay {
      throw .state(
        found: "migration: \(vm.migration.status?.rawValue ?? "?")",
        expected: [RunState.inMigrate.rawValue])
    }
    try check(source, vm, connection)
    try moving { () throws(ImageError) in try source.image.checkHasDevices(devices.keys) }
    let access =
      startedProcess.map { GuestMemory.access(to: vm, startedBy: $0) }
      ?? GuestMemory.access(to: vm, processID: processID)
    let destination = Destination(
      source: source, vm: vm, connection: connection, options: options, devices: devices)
    var report = VMRestoreReport(
      engine: engine, engineReasons: [], blocks: [], state: "",
      processID: startedProcess ?? processID,
      elapsed: .zero, transfer: nil)
    if case .success(let memory) = access {
      report.processID = memory.processID
      try found(memory.process)
    }
    // Whatever refuses this restore does so before `stop`: a VM that then waits for another one is as it was.
    switch (engine, access) {
    case (.qemu, _):
      try destination.checkLoads()
      try hold(connection)
      if case .success(let memory) = access {
        try system { () throws(SystemCallError) in try memory.clearOldContents() }
      }
      report.blocks = try destination.load(progress, cancellation)
      report.transfer = try destination.loadDevices(progress, cancellation)
    case (.auto, .failure(let obstacle)):
      report.engine = .qemu
      report.engineReasons = [obstacle]
      try destination.checkLoads()
      try hold(connection)
      report.blocks = try destination.load(progress, cancellation)
      report.transfer = try destination.loadDevices(progress, cancellation)
    case (.place, .failure(let obstacle)), (.map, .failure(let obstacle)):
      throw .cannotCapture([obstacle])
    case (.auto, .success(let memory)), (.place, .success(let memory)):
      report.engine = .place
      try hold(connection)
      (report.blocks, report.transfer) = try destination.place(
        in: memory, mapped: [], progress, cancellation)
    case (.map, .success(let memory)):
      let mapped = try destination.mappedBlocks(of: memory)
      (report.blocks, report.transfer) = try destination.holdingImage { () throws(VMError) in
        let stale = try destination.staleSlots(
          of: mapped, limit: clearedBytesLimit, cancellation)
        try hold(connection)
        try destination.clear(stale, in: memory)
        return try destination.place(
          in: memory, mapped: mapped, progress, cancellation)
      }
    }
    report.state = try end(source, vm, connection, report.processID)
    report.elapsed = .now - start
    return report
  }

  /// Keeps a waiting VM from going on by itself once it has its image.
  ///
  /// - Throws: `state` where it waits no more, or loads another image: somebody else restores into it. A VM that ran goes on.
  private func hold(_ connection: QMPConnection) throws(VMError) {
    let (found, migration) = try talking { () throws(QMPError) in
      _ = try connection.takeEvents()
      try connection.execute(.stop)
      // One that waits says nothing at this (QEMU 10.0, monitor/qmp-cmds.c, qmp_stop; tried): it ran.
      if try connection.takeEvents().contains(where: { $0.name == "STOP" }) {
        try connection.execute(.cont)
        return (RunState.running, MigrationInfo.Status?.none)
      }
      return (
        try connection.execute(.queryStatus), try connection.execute(.queryMigrate).status
      )
    }
    let expected = [RunState.inMigrate.rawValue]
    guard found == .inMigrate else { throw .state(found: found.rawValue, expected: expected) }
    if let migration, !migration.isOver {
      throw .state(found: "migration: \(migration.rawValue)", expected: expected)
    }
  }

  /// Compares the VM with what the image needs.
  private func check(
    _ source: RestoreSource, _ vm: RunningVM, _ connection: QMPConnection
  ) throws(VMError) {
    let check = DestinationCheck(image: source.image)
    var mismatches = check.machineType(vm.machineType)
    // Another machine has other devices: to list them all would hide what is wrong.
    let isOtherMachine = !mismatches.isEmpty
    if let platform = GuestPlatform(architecture: vm.target, machineType: vm.machineType),
      let pageSize = source.image.blocks.first?.block.pageSize, pageSize != platform.pageSize
    {
      mismatches.append(.pageSize(found: platform.pageSize, expected: pageSize))
    }
    let blocks = check.blocks(
      vm.blocks.map { block in
        DestinationCheck.Block(
          idstr: block.idstr, usedLength: block.usedLength, maximumLength: block.maxLength)
      })
    mismatches += blocks.filter { !isOtherMachine || !$0.isAboutDevice }
    if !isOtherMachine, vm.tellsItsDevices, let devices = try devices(of: connection) {
      mismatches += check.devices(devices)
    }
    guard mismatches.isEmpty else { throw .mismatches(source.file.path, mismatches) }
  }

  /// The devices of a waiting VM that have state; `nil` where QEMU does not tell.
  ///
  /// It tells by writing their state, which harms nothing: that of the image comes over it.
  private func devices(of connection: QMPConnection) throws(VMError) -> [SectionIdentity]? {
    do throws(VMError) {
      return try DeviceStateCapture(connection: connection).read().devices.map(\.identity)
    } catch .qmp(.refused) {
      return nil
    }
  }

  /// Lets the VM go on if it is to. Returns its state.
  private func end(
    _ source: RestoreSource, _ vm: RunningVM, _ connection: QMPConnection, _ process: Int32?
  ) throws(VMError) -> String {
    let goesOn = afterwards.map { $0 == .resume } ?? source.wasRunning
    do throws(QMPError) {
      if goesOn { try connection.execute(.cont) }
      return try connection.execute(.queryStatus).rawValue
    } catch {
      if case .refused = error {
        let disks = takenDisks(of: vm, connection, process)
        if !disks.isEmpty { throw .disksTaken(disks, refusal: error) }
      }
      throw .qmp(error)
    }
  }

  /// The disks that QEMU has not got, with their files, where somebody has locked them. QEMU 10.0 tells which it has got; its refusal
  /// itself names none.
  private func takenDisks(
    of vm: RunningVM, _ connection: QMPConnection, _ process: Int32?
  ) -> [String] {
    let places = DiskPlaces(of: vm, processID: process)
    // That it cannot be asked any more says less than why it came to it.
    return ((try? connection.execute(.queryBlock)) ?? []).compactMap { disk in
      guard let medium = disk.medium, !medium.isActive,
        let path = medium.bottomFile.flatMap({ places.absoluteName(of: $0) }),
        let file = try? File.open(FilePath(path), access: .read, directIO: .off),
        (try? file.isLockedByQEMU()) == true
      else { return nil }
      return "disk \(disk.label) (\(path))"
    }
  }
}
