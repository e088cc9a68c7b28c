import LinuxIO
public import MappedRAM
import MappedRAMFormat
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
    try check(source, vm, connection)
    try moving { () throws(ImageError) in try source.image.checkHasDevices(devices.keys) }
    let access =
      startedProcess.map { GuestMemory.access(to: vm, startedBy: $0) }
      ?? GuestMemory.access(to: vm, processID: processID)
    let destination = Destination(
      source: source, vm: vm, connection: connection, options: options, devices: devices)
    // The VM is not to go on by itself: `stop` keeps a waiting VM from it.
    try talking { () throws(QMPError) in try connection.execute(.stop) }
    var report = VMRestoreReport(
      engine: engine, engineReasons: [], blocks: [], state: "",
      processID: startedProcess ?? processID,
      elapsed: .zero, transfer: nil)
    if case .success(let memory) = access {
      report.processID = memory.processID
      try found(memory.process)
    }
    switch (engine, access) {
    case (.qemu, _):
      if case .success(let memory) = access {
        try system { () throws(SystemCallError) in try memory.clearOldContents() }
      }
      report.blocks = try destination.load(progress, cancellation)
      report.transfer = try destination.loadDevices(progress, cancellation)
    case (.auto, .failure(let obstacle)):
      report.engine = .qemu
      report.engineReasons = [obstacle]
      report.blocks = try destination.load(progress, cancellation)
      report.transfer = try destination.loadDevices(progress, cancellation)
    case (.place, .failure(let obstacle)), (.map, .failure(let obstacle)):
      throw .cannotCapture([obstacle])
    case (.auto, .success(let memory)), (.place, .success(let memory)):
      report.engine = .place
      (report.blocks, report.transfer) = try destination.place(
        in: memory, mapped: [], progress, cancellation)
    case (.map, .success(let memory)):
      let mapped = try destination.mappedBlocks(of: memory)
      (report.blocks, report.transfer) = try destination.holdingImage { () throws(VMError) in
        try destination.clearStaleSlots(
          of: mapped, in: memory, limit: clearedBytesLimit, cancellation)
        return try destination.place(
          in: memory, mapped: mapped, progress, cancellation)
      }
    }
    report.state = try end(source, vm, connection)
    report.elapsed = .now - start
    return report
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
    _ source: RestoreSource, _ vm: RunningVM, _ connection: QMPConnection
  ) throws(VMError) -> String {
    let goesOn = afterwards.map { $0 == .resume } ?? source.wasRunning
    do throws(QMPError) {
      if goesOn { try connection.execute(.cont) }
      return try connection.execute(.queryStatus).rawValue
    } catch {
      if case .refused = error {
        let disks = takenDisks(of: vm, connection)
        if !disks.isEmpty { throw .disksTaken(disks, refusal: error) }
      }
      throw .qmp(error)
    }
  }

  /// The disks that QEMU has not got, with their files, where somebody has locked them. QEMU 10.0 tells which it has got; its refusal
  /// itself names none.
  private func takenDisks(of vm: RunningVM, _ connection: QMPConnection) -> [String] {
    let places = DiskPlaces(of: vm, processID: startedProcess ?? processID)
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
