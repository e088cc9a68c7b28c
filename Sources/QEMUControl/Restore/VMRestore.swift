public import LinuxIO
import LinuxProcesses
public import MappedRAM
public import MappedRAMFormat
package import QEMUArguments
public import QMP
public import SystemPackage

/// Puts an image into a QEMU that waits for it (`-incoming defer`).
public struct VMRestore: Sendable {
  /// Who puts the RAM in place.
  public var engine = Engine.auto
  /// What to do with the VM afterwards; as it was before is as it was when it was saved.
  public var afterwards = Ending.asBefore
  /// How the channels work.
  public var options: ChannelOptions
  /// QEMU's process where it is not the one that listens at the socket.
  public var processID: Int32?
  /// The process that is QEMU or has started it; `nil` for a QEMU that was there before.
  var startedProcess: Int32?
  /// What that process has from its start.
  var inherited: InheritedFiles?
  /// The only files that the disks of a clone may write to; `nil` for a VM that is none.
  var cloneDisks: [FilePath]?
  /// Whether an image is restored although disks have been written to since its moment (`Deviation.diskWentOn`).
  public var allowsChangedDisks = false
  /// Whether contents are compared with the image's sums, so that wrong ones never reach a running guest: pages that our channels write as
  /// they are read, all else before, and the VM is not resumed if anything differs. An image without sums is refused.
  public var verifies = false
  /// What gets the states of devices that stand behind the image's stream, before the VM is resumed.
  public var devices: [DeviceIdentity: any DeviceStateTarget] = [:]

  /// Who puts the RAM in place.
  public enum Engine: String, CaseIterable, Sendable {
    /// Place where it is permitted, else QEMU.
    case auto
    /// The RAM is not moved: the guest runs on the image itself, copy-on-write.
    case map
    /// Our channels write into the waiting QEMU's memory.
    case place
    /// QEMU loads by itself, with mapped-ram, multifd and direct-io.
    case qemu
  }

  /// Stale slots that `map` puts zeros over, in bytes: the VM gets memory of its own for them. An image with more is refused.
  ///
  /// 1 GiB, which takes about a second.
  public var clearedBytesLimit: UInt64 = 1 << 30

  /// A restore.
  public init(options: ChannelOptions = .standard) {
    self.options = options
  }
}

/// An image that has been read and found whole: what is wrong with it is told before a VM is touched. Its pages are read later, with the
/// bitmaps, which are not kept.
public struct RestoreSource: Sendable {
  /// The file.
  package let file: File
  /// Its structures.
  public let image: Image
  /// What the VM did when it was saved; `nil` where the image does not say.
  public let runState: RunState?

  /// Reads the image at `path`.
  ///
  /// - Parameters:
  ///   - streamOffset: where the stream begins; `nil` where the container says, or at 0.
  ///   - cancellation: ends the reading.
  /// - Throws: `ImageError`: the image's first problem, if it has one.
  public init(
    _ path: FilePath, streamOffset: FileOffset? = nil, directIO: DirectIOPolicy = .auto,
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    file = try ImageFile(opening: path, directIO: directIO).file
    image = try Image(
      reading: file, streamOffset: streamOffset, cancellation: cancellation)
    if let problem = image.restoreProblem { throw .format(problem, in: path) }
    runState = try image.runState(in: file)
  }

  /// Whether the VM ran when it was saved. libvirt stops it before, and keeps in its own header what it did.
  public var wasRunning: Bool { stateBefore.isLive }

  /// What the VM was doing before it was saved; `paused` where the image does not say.
  var stateBefore: RunState {
    guard case .libvirt(let container) = image.container else { return runState ?? .paused }
    return container.header.wasRunning ? .running : .paused
  }
}

extension RestoreSource {
  /// Makes sure that there are sums which contents can be compared with: what is wrong with them is found out later.
  ///
  /// - Throws: `ContentsProblem.noSums`.
  func checkHasSums() throws(VMError) {
    guard image.harmlessDamage != nil || image.areas.headers.contains(where: { $0.kind == .sums })
    else { throw .image(.contents(file.path, .noSums)) }
  }

  /// What the user should know before VMs run on the image: whether it is in memory, with less room there than its holes may take.
  ///
  /// A hole that is touched through a mapping takes memory on tmpfs, also by reading; where there is none, whoever touches it gets SIGBUS.
  package var mappingNotes: [LaunchNote] {
    do throws(SystemCallError) {
      guard try file.isInMemory(), let available = FileSystem.room(at: file.path) else { return [] }
      let (size, taken) = (try file.size(), try file.allocatedBytes())
      let needed = size - min(taken, size)
      guard needed > available else { return [] }
      return [
        .imageInMemory(path: file.path.string, available: available, neededAtMost: needed)
      ]
    } catch {
      // What the file itself does not tell is no reason not to restore it.
      return []
    }
  }
}

/// What the restore of a VM did.
public struct VMRestoreReport: Equatable, Sendable {
  /// Who put the RAM in place.
  public var engine: VMRestore.Engine
  /// Why this engine was taken, where the choice was left to us and it is not the faster one.
  public var engineReasons: [CaptureObstacle]
  /// How each block came into the VM.
  public var blocks: [BlockArrival]
  /// The VM's state now, as `query-status` names it.
  public var state: String
  /// QEMU's process, where it has been found, or else the one that was started or given.
  public var processID: Int32?
  /// From the first look at the VM to the last, once it is resumed or stays paused.
  public var elapsed: Duration
  /// What our channels did; `nil` where they had nothing to do.
  public var transfer: TransferReport?
  /// What is otherwise than in the VM that the image is of.
  public var deviations: [Deviation] = []

  /// How a block came into the VM.
  public struct BlockArrival: Equatable, Sendable {
    /// The block's name.
    public var idstr: String
    /// Its used length.
    public var byteCount: UInt64
    /// The way.
    public var way: Way
  }

  /// The ways of a block into a VM.
  public enum Way: String, Equatable, Sendable {
    /// The VM has it mapped from the image.
    case mapped
    /// Our channels put it in place.
    case placed
    /// In the migration stream.
    case stream
    /// QEMU loaded it from its slots.
    case loaded
  }
}

extension VMRestore {
  /// Restores `source` into the VM behind `connection`.
  ///
  /// Before anything is touched the VM is compared with what the image needs. If this throws later, the VM holds a part of the
  /// image: it must be started anew.
  ///
  /// - Throws: `VMError`.
  public func run(
    _ source: RestoreSource, into connection: QMPConnection,
    progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation()
  ) throws(VMError) -> VMRestoreReport {
    try run(
      source, into: connection, progress: progress, cancellation: cancellation, found: { _ in })
  }

  /// The same; `found` is given QEMU's process once that has been found.
  func run(
    _ source: RestoreSource, into connection: QMPConnection, progress: TransferProgress,
    cancellation: Cancellation, found: (ProcessHandle) throws(VMError) -> Void
  ) throws(VMError) -> VMRestoreReport {
    let before = connection.isCancelled
    connection.isCancelled = { before() || cancellation.isCancelled }
    defer { connection.isCancelled = before }
    let start = ContinuousClock.now
    let vm = try RunningVM(lookingThrough: connection, for: questions(about: source))
    let session = VMSession(connection, vm, process: nil, reconnects: false)
    if let inherited { session.note { $0.descriptorSet = inherited.set } }
    // Refuse: before `stop`, so that a VM that then waits for another image is as it was.
    try checkWaits(vm.runState, vm.migration)
    let access = try check(source, vm, session)
    try checkDisks(of: vm)
    let deviations = try deviations(of: vm, from: source, try? access.get().processID)
    // Decide.
    if case .success(let memory) = access { try found(memory.process) }
    let chosen = try choose(access)
    let job = RestoreJob(
      source: source, vm: vm, session: session, options: options, devices: devices,
      inherited: inherited)
    var report = VMRestoreReport(
      engine: chosen.name, engineReasons: [], blocks: [], state: "",
      processID: (try? access.get())?.processID ?? startedProcess ?? processID, elapsed: .zero,
      transfer: nil, deviations: deviations)
    if engine == .auto, case .failure(let obstacle) = access { report.engineReasons = [obstacle] }
    do throws(VMError) {
      let mapping = try job.check(chosen, clearing: clearedBytesLimit, cancellation)
      let sums = try verifies ? job.verify(chosen, mapping, progress, cancellation) : nil
      // One that we have started waits paused (`-S`), and refuses a second image by itself.
      if startedProcess == nil { try hold(session) }
      // Work.
      (report.blocks, report.transfer) = try job.putImage(
        chosen, mapping, comparingWith: sums, progress, cancellation)
    } catch {
      session.inAnyCase(grace: VMSession.grace) { job.leave(chosen) }
      throw error
    }
    report.state = try session.inAnyCase { () throws(VMError) in
      try end(source, vm, session, report.processID)
    }
    report.elapsed = .now - start
    return report
  }

  /// What is asked about a VM besides what it is compared by: its process where we have not started it, its disks where they may be
  /// others' as well or the image tells of them, and how it migrates where QEMU may load by itself.
  private func questions(about source: RestoreSource) -> RunningVM.Questions {
    var questions: RunningVM.Questions = []
    if startedProcess == nil { questions.insert(.processors) }
    if cloneDisks != nil || source.image.facts?.disks.isEmpty == false {
      questions.insert(.disks)
    }
    if source.image.facts?.memoryDevices.isEmpty == false { questions.insert(.memoryDevices) }
    if engine == .auto || engine == .qemu { questions.insert(.parameters) }
    return questions
  }

  /// Who puts the RAM in place.
  private func choose(
    _ access: Result<GuestMemory, CaptureObstacle>
  ) throws(VMError) -> ChosenEngine {
    switch (engine, access) {
    case (.qemu, _): .qemu(try? access.get())
    case (.auto, .failure): .qemu(nil)
    case (.place, .failure(let obstacle)), (.map, .failure(let obstacle)):
      throw .cannotCapture([obstacle])
    case (.auto, .success(let memory)), (.place, .success(let memory)): .place(memory)
    case (.map, .success(let memory)): .map(memory)
    }
  }

  /// Looks whether the VM waits for an image, and no other client loads one.
  private func checkWaits(_ state: RunState, _ migration: MigrationInfo) throws(VMError) {
    let expected = [RunState.inMigrate.rawValue]
    guard state == .inMigrate else { throw .state(found: state.rawValue, expected: expected) }
    if let status = migration.status, !status.isOver {
      throw .state(found: "migration: \(status.rawValue)", expected: expected)
    }
  }

  /// Keeps a waiting VM from running by itself once it has its image.
  ///
  /// - Throws: `state` where it waits no more, or loads another image: another client restores into it. A VM that ran is resumed.
  private func hold(_ session: VMSession) throws(VMError) {
    _ = try session.takeEvents()
    // A waiting VM sends no STOP at this (QEMU 10.0, monitor/qmp-cmds.c, qmp_stop; tried): one that does was running.
    let (hasRun, state, migration) = try session.inAnyCase(grace: VMSession.grace) {
      () throws(VMError) in
      let (stop, state, migration) = try session.send(.stop, .queryStatus, .queryMigrate)
      try session.answer(to: stop)
      let hasRun = session.connection.takeEventsRead().contains { $0.name == "STOP" }
      if hasRun { try session.execute(.cont) }
      return (hasRun, state, migration)
    }
    if hasRun {
      throw .state(
        found: RunState.running.rawValue, expected: [RunState.inMigrate.rawValue])
    }
    try checkWaits(try session.answer(to: state), try session.answer(to: migration))
  }

  /// Compares the VM with what the image needs, and looks meanwhile, as QEMU writes the state of its devices, how its memory can be got at.
  private func check(
    _ source: RestoreSource, _ vm: RunningVM, _ session: VMSession
  ) throws(VMError) -> Result<GuestMemory, CaptureObstacle> {
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
    var found: Result<GuestMemory, CaptureObstacle>?
    if !isOtherMachine, vm.tellsItsDevices,
      let devices = try devices(of: session, meanwhile: { found = access(to: vm) })
    {
      mismatches += check.devices(devices)
    }
    guard mismatches.isEmpty else { throw .mismatches(source.file.path, mismatches) }
    do throws(ImageError) {
      try source.image.checkHasDevices(self.devices.keys)
    } catch {
      throw .image(error)
    }
    return found ?? access(to: vm)
  }

  /// How the VM's memory can be got at.
  private func access(to vm: RunningVM) -> Result<GuestMemory, CaptureObstacle> {
    startedProcess.map { GuestMemory.access(to: vm, startedBy: $0) }
      ?? GuestMemory.access(to: vm, processID: processID, isForReading: false)
  }

  /// Makes sure that a clone writes to no disk but its overlays: QEMU may have been started by a script, with arguments that were not seen.
  private func checkDisks(of vm: RunningVM) throws(VMError) {
    guard let cloneDisks else { return }
    let own = cloneDisks.compactMap { FileIdentity(at: $0) }
    let places = DiskPlaces(of: vm, processID: startedProcess ?? processID)
    let shared = vm.writableDisks.filter { disk in
      guard !places.isUnlinked(disk) else { return false }
      let identity = disk.medium?.bottomFile.flatMap { places.absoluteName(of: $0) }
        .flatMap { FileIdentity(at: FilePath($0)) }
      return !own.contains { $0 == identity }
    }
    guard shared.isEmpty else {
      throw .sharedDisks(shared.map { "\($0.label) (\(places.name(of: $0)))" })
    }
  }

  /// Compares the VM with what the image says that it is of.
  ///
  /// - Throws: `disksWentOn` where it would ruin file systems to go on.
  private func deviations(
    of vm: RunningVM, from source: RestoreSource, _ process: Int32?
  ) throws(VMError) -> [Deviation] {
    guard let facts = source.image.facts else { return [] }
    let check = FactsCheck(facts: facts)
    let process = process ?? startedProcess ?? processID
    let found =
      check.disks(vm.disks, DiskPlaces(of: vm, processID: process))
      + check.memory(vm.memoryDevices)
      + check.arguments(process.map { VMFacts.commandLine(of: $0) } ?? [])
    guard allowsChangedDisks || !found.contains(where: \.isDangerous) else {
      throw .disksWentOn(source.file.path, found.filter(\.isDangerous))
    }
    return found
  }

  /// The devices of a waiting VM that have state; `nil` where QEMU does not tell.
  ///
  /// It tells by writing their state, which harms nothing: that of the image comes over it.
  ///
  /// - Parameter work: what is done meanwhile.
  private func devices(
    of session: VMSession, meanwhile work: () -> Void
  ) throws(VMError) -> [SectionIdentity]? {
    // What was cancelled in between has left QEMU the file.
    defer {
      if inherited == nil {
        session.inAnyCase(grace: VMSession.grace) { session.takeBackFile() }
      }
    }
    do throws(VMError) {
      let (file, sent) = try session.askForDeviceState(in: inherited)
      work()
      return try session.read(file, sent).devices.map(\.identity)
    } catch .qmp(.refused) {
      return nil
    }
  }

  /// Resumes the VM if it is to run. Returns its state.
  private func end(
    _ source: RestoreSource, _ vm: RunningVM, _ session: VMSession, _ process: Int32?
  ) throws(VMError) -> String {
    do throws(VMError) {
      let resumed =
        afterwards.resumes(from: source.stateBefore) ? try session.send(.cont) : nil
      let state = try session.send(.queryStatus)
      let back = try session.sendTakingBackFile()
      if let resumed { try session.answer(to: resumed) }
      let found = try session.answer(to: state).rawValue
      if let back { session.hasTakenBackFile(back) }
      return found
    } catch {
      if case .qmp(let refusal) = error, refusal.isRefusal {
        let disks = takenDisks(of: vm, session.connection, process)
        if !disks.isEmpty { throw .disksTaken(disks, refusal: refusal) }
      }
      throw error
    }
  }

  /// The disks that QEMU has not got, with their files, where another process has locked them. QEMU 10.0 tells which it has got; its
  /// refusal itself names none.
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
