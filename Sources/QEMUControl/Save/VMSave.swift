import LinuxIO
import LinuxProcesses
public import MappedRAM
public import MappedRAMFormat
public import QMP
public import SystemPackage

/// Saves a running QEMU's VM into an image: from outside, or by QEMU itself.
public struct VMSave: Sendable {
  /// The image.
  public var image: FilePath
  /// Whether an existing file is written where it is, as block devices are.
  public var inPlace = false
  /// What the image may replace. A file that the VM itself uses is never replaced.
  public var replacing = Replacing.images
  /// Whether a VM that libvirt manages is saved too. libvirt does not expect another client to pause it.
  public var allowsLibvirt = false
  /// Who writes the image.
  public var engine = Engine.auto
  /// Where the pages of each block begin; `nil` for `capturedLayout` by capture, and QEMU's by QEMU, which writes no other.
  public var layout: SlotLayout?
  /// Whether the image gets checksums of its contents. They are taken while the pages are read; of what QEMU writes or sends, the image is
  /// read for them once more, when the VM may run again.
  public var hasChecksums = false
  /// Whether the image says what it is of: the VM, its command line, its disks and when they were written to (FORMAT.md, section 10). A restore
  /// compares it.
  public var hasFacts = true
  /// An earlier image of the VM, whose blocks on the disk the new one shares where the contents are the same and the file system can: the
  /// report says what came of it. The new image is whole by itself, and has checksums. By capture only.
  public var base: FilePath?
  /// What to do with the VM afterwards.
  public var afterwards = Ending.asBefore
  /// How the VM is saved while it runs; `nil` for a VM that is paused from the beginning. One that is paused is saved as it is.
  public var live: LiveOptions?
  /// How a live save by capture gets pages that change meanwhile.
  public var liveMethod = LiveMethod.auto
  /// Where external snapshots of the disks go, if there are to be any.
  public var snapshotDirectory: FilePath?
  /// Devices whose states are saved beside the VM's RAM while it is paused. By capture only: QEMU's own save leaves them out.
  public var devices: [DeviceSource] = []
  /// How long the VM may be paused, at most: when it is over, the watchdog resumes it, and the save fails. `nil` for a time that only a
  /// save in which something hangs needs: a minute, a second more for each 25 MiB of RAM (or, with a limit of bandwidth, for half of what
  /// that lets through), and half a minute in which nothing moves.
  public var maximumDowntime: Duration?
  /// The program that takes the way back if this process ends in the middle of the save, or hangs: `mapped-ram`, found in PATH, or one that
  /// calls `VMWatchdog.run` when its only argument is `VMWatchdog.verb`. Without such a program there is no watchdog, and a warning
  /// says so.
  public var watchdogProgram = "mapped-ram"
  /// How the channels work. The limit of bandwidth holds for a VM that is paused from the beginning; a live save goes by that of `live`.
  public var options: ChannelOptions
  /// QEMU's process where it is not the one that listens at the socket.
  public var processID: Int32?

  /// Who writes the image.
  public enum Engine: String, CaseIterable, Sendable {
    /// Capture where it is possible and permitted, else QEMU; QEMU as well for a live save that it is expected to pause the VM for less (`LiveChoice`).
    case auto
    /// We read the guest's memory from outside, while the VM is paused.
    case capture
    /// QEMU writes the file by itself, with mapped-ram, multifd and direct-io.
    case qemu
  }

  /// How a live save by capture gets pages that change meanwhile.
  public enum LiveMethod: String, CaseIterable, Sendable {
    /// By a snapshot where that is possible, else in rounds; with `Engine.auto` also by QEMU itself, where that keeps the downtime that is asked
    /// for, and rounds do not.
    case auto
    /// The image is of one moment: QEMU protects the guest's memory by its background snapshot, and sends each page before it changes.
    /// The VM is paused for some milliseconds, whatever it writes.
    case snapshot
    /// All memory is read, and then again and again what has changed, at last in a pause.
    case rounds
  }

  /// The layout of a capture for which none was asked for.
  public static let capturedLayout = SlotLayout.hugePages

  /// A save into `image`.
  public init(to image: FilePath, options: ChannelOptions = .standard) {
    self.image = image
    self.options = options
  }
}

/// Who reads a VM and writes its image. `VMSave.save` has the order of a save; an engine has the steps in which a capture and QEMU's own
/// save differ. Each is called once.
///
/// One is made with everything that can be refused looked at, while nothing about the VM has been touched.
protocol SaveEngine: AnyObject {
  /// What is known of the VM once it is paused, and needed for its pages.
  associatedtype State
  /// What comes of it.
  associatedtype Outcome
  /// Whether the VM runs while its pages are moved, whatever is to become of it afterwards.
  static var letsRun: Bool { get }

  /// Moves pages while the VM runs, or gives QEMU what it will need in the pause.
  func runRounds() throws(VMError)
  /// Pauses the VM, or notes that it will be paused while pages are moved.
  func pause(_ limit: PauseLimit) throws(VMError)
  /// Looks whether what was planned holds for the VM as it is now, and takes its device state where that is not saved with the pages.
  func takeState() throws(VMError) -> State
  /// Moves the pages that are left, calls `memoryIsTaken` once the VM may run again whatever it does to its memory, and completes the
  /// image; calls `session.keepSnapshots` right before that gets its name.
  func write(
    _ state: State, memoryIsTaken: () throws(VMError) -> Void
  ) throws(VMError) -> Outcome
  /// Looks whether the VM has been left alone until its memory was taken.
  func checkPause() throws(VMError)
}

/// What both engines work on.
struct SaveJob {
  let save: VMSave
  let vm: RunningVM
  let session: VMSession
  let progress: TransferProgress
  let cancellation: Cancellation
  /// The earlier image, if one is wanted as the base.
  let base: BaseImage?

  /// The image of `plan` as it is asked for.
  func imageSave(of plan: SavePlan) -> ImageSave {
    var image = ImageSave(plan, options: options)
    image.hasChecksums = save.hasChecksums
    image.base = base
    return image
  }

  /// How the VM is saved while it runs, if it does.
  var live: LiveOptions? { vm.runState.isLive ? save.live : nil }

  /// How the channels work. A live save has a limit of its own for the time in which the VM runs, and none for the pause.
  var options: ChannelOptions {
    var options = save.options
    if live != nil { options.bytesPerSecond = nil }
    return options
  }

  /// How long the VM may be paused, which is to run again or not.
  func pauseLimit(isResumed: Bool) -> PauseLimit {
    save.pauseLimit(
      ramByteCount: vm.ramByteCount, bytesPerSecond: options.bytesPerSecond, isResumed: isResumed)
  }
}

extension VMSave {
  /// Saves the VM behind `connection`.
  ///
  /// The image appears under its name complete and durable, or not at all. Whatever goes wrong, also the sudden end of this
  /// process, the VM is afterwards what it was before.
  ///
  /// - Parameter onWarning: told what does not stop the save, before the VM is paused.
  /// - Throws: `VMError`.
  public func run(
    _ connection: QMPConnection, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation(), onWarning: (VMSaveWarning) -> Void = { _ in }
  ) throws(VMError) -> VMSaveReport {
    let before = connection.isCancelled
    connection.isCancelled = { before() || cancellation.isCancelled }
    defer { connection.isCancelled = before }
    // Look: what cannot be saved, or would do harm, is refused.
    let vm = try RunningVM(lookingThrough: connection)
    let access = GuestMemory.access(to: vm, processID: processID)
    try check(vm)
    try checkTarget(vm, access, connection)
    for warning in try warnings(vm, access) { onWarning(warning) }
    let base = try openBase(cancellation)
    // Choose.
    let choice = CaptureChoice(vm, memory: access)
    try checkEngine(choice, vm)
    if engine == .qemu || !choice.obstacles.isEmpty {
      for warning in try checkMemory(ImageMemory.all(of: vm, access), choice) { onWarning(warning) }
    }
    // Plan.
    let process = (try? access.get())?.process
    let places = DiskPlaces(of: vm, processID: processID)
    let snapshots = try snapshotDirectory.map { (directory) throws(VMError) in
      try DiskSnapshots(
        of: vm, places, owner: process.flatMap { ProcessOwner.user(of: $0.processID) },
        in: directory, for: image, by: connection)
    }
    // Snapshots of such disks are refused.
    let unlinked = vm.writableDisks.filter { places.isUnlinked($0) }
    if !unlinked.isEmpty { onWarning(.unlinkedDisks(unlinked.map(\.label))) }
    let session = VMSession(
      connection, vm, process: process, progress: progress, cancellation: cancellation)
    session.canBeCaptured = choice.obstacles.isEmpty
    if try !session.arm(watchdogProgram) { onWarning(.noWatchdog(watchdogProgram)) }
    let job = SaveJob(
      save: self, vm: vm, session: session, progress: progress, cancellation: cancellation,
      base: base)
    // Work.
    var report: VMSaveReport
    if engine != .qemu, case .possible(let memory, let platform) = choice {
      report = try capture(job, memory, platform, snapshots)
    } else {
      report = try saveByQEMU(job, snapshots, canCapture: choice.obstacles.isEmpty)
      if engine == .auto { report.engineReasons = choice.obstacles }
    }
    report.stateBefore = session.stateBefore.rawValue
    report.disks = vm.writableDisks.map { disk in
      VMSaveReport.DiskOfImage(
        name: disk.label, file: places.name(of: disk),
        overlay: snapshots?.overlay(of: disk), isUnlinked: unlinked.contains(disk))
    }
    report.after = session.inAnyCase { end(session, hasRunOn: report.sent != nil) }
    report.pause = session.downtime
    return report
  }

  /// Pauses the VM for an engine that reads it and writes no image, and lets it be what it was.
  ///
  /// - Returns: what came of it, and how long the VM was paused; `nil` for one that was paused before.
  /// - Throws: `cannotCapture` where its memory cannot be read.
  func visit<Visitor: SaveEngine>(
    _ connection: QMPConnection, progress: TransferProgress, cancellation: Cancellation,
    onWarning: (VMSaveWarning) -> Void,
    by visitor: (SaveJob, GuestMemory, GuestPlatform) throws(VMError) -> Visitor
  ) throws(VMError) -> (Visitor.Outcome, pause: Duration?) {
    let before = connection.isCancelled
    connection.isCancelled = { before() || cancellation.isCancelled }
    defer { connection.isCancelled = before }
    let vm = try RunningVM(lookingThrough: connection)
    let access = GuestMemory.access(to: vm, processID: processID)
    try check(vm)
    let choice = CaptureChoice(vm, memory: access)
    guard case .possible(let memory, let platform) = choice else {
      throw .cannotCapture(choice.obstacles, canUseQEMU: false)
    }
    let session = VMSession(
      connection, vm, process: memory.process, progress: progress, cancellation: cancellation)
    session.canBeCaptured = true
    if try !session.arm(watchdogProgram) { onWarning(.noWatchdog(watchdogProgram)) }
    let job = SaveJob(
      save: self, vm: vm, session: session, progress: progress, cancellation: cancellation,
      base: nil)
    let outcome = try save(by: try visitor(job, memory, platform), job, nil)
    let after = session.inAnyCase { end(session, hasRunOn: false) }
    if case .failed(let error, _) = after { throw error }
    return (outcome, session.downtime)
  }

  /// Reads what the base has, while the VM runs.
  private func openBase(_ cancellation: Cancellation) throws(VMError) -> BaseImage? {
    do throws(ImageError) {
      return try base.map { (path) throws(ImageError) in
        try BaseImage(at: path, cancellation: cancellation)
      }
    } catch {
      throw .image(error)
    }
  }

  /// A capture. One of a VM that runs is of one moment, if that can be; otherwise in rounds.
  private func capture(
    _ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform, _ snapshots: DiskSnapshots?
  ) throws(VMError) -> VMSaveReport {
    guard job.live != nil else {
      return try save(by: try CaptureEngine(job, memory, platform), job, snapshots)
    }
    let obstacles = try ProtectedEngine.prepare(job, memory)
    guard obstacles.isEmpty else {
      if liveMethod == .snapshot { throw .cannotProtect(obstacles) }
      var report = try saveWithoutSnapshot(job, memory, platform, snapshots)
      report.protectionObstacles = obstacles
      return report
    }
    return try save(by: try ProtectedEngine(job, memory, platform), job, snapshots)
  }

  /// A live save in rounds, or by QEMU itself where the choice is ours and the first rounds speak for it.
  private func saveWithoutSnapshot(
    _ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform, _ snapshots: DiskSnapshots?
  ) throws(VMError) -> VMSaveReport {
    let stopwatch = Stopwatch()
    let saver = try CaptureEngine(job, memory, platform)
    guard engine == .auto, liveMethod == .auto else { return try save(by: saver, job, snapshots) }
    let choice: LiveChoice?
    do throws(VMError) {
      choice = try saver.makeRounds(
        orElseQEMUBut: obstaclesToChoosingQEMU(
          job.vm, ImageMemory.all(of: job.vm, .success(memory))))
    } catch {
      throw job.session.unwind(after: error)
    }
    var report =
      choice?.takesQEMU == true
      ? try saveByQEMU(job, snapshots, canCapture: true, since: stopwatch)
      : try save(by: saver, job, snapshots)
    report.liveChoice = choice
    return report
  }

  /// A save by QEMU itself.
  private func saveByQEMU(
    _ job: SaveJob, _ snapshots: DiskSnapshots?, canCapture: Bool,
    since stopwatch: Stopwatch = Stopwatch()
  ) throws(VMError) -> VMSaveReport {
    do throws(VMError) {
      guard job.live == nil || snapshots == nil else { throw .liveSnapshots }
      return try save(by: try QEMUEngine(job, since: stopwatch), job, snapshots)
    } catch .migrationFailed(let path, let reason, _) {
      throw .migrationFailed(
        path, reason: reason, hints: Self.hints(job.session.connection, canCapture: canCapture))
    }
  }

  /// The order of every save.
  private func save<Saver: SaveEngine>(
    by saver: Saver, _ job: SaveJob, _ snapshots: DiskSnapshots?
  ) throws(VMError) -> Saver.Outcome {
    let session = job.session
    let isResumed = Saver.letsRun || afterwards.resumes(from: .running)
    do throws(VMError) {
      try saver.runRounds()
      try snapshots?.prepare(session)
      try saver.pause(job.pauseLimit(isResumed: isResumed))
      try snapshots?.check(session)
      try snapshots?.take(session)
      let state = try saver.takeState()
      return try saver.write(state) { () throws(VMError) in
        try saver.checkPause()
        Saver.letsRun || afterwards.resumes(from: session.stateBefore)
          ? session.resume() : session.keepPaused()
      }
    } catch {
      defer { withExtendedLifetime(saver) {} }
      throw session.unwind(after: error)
    }
  }

  /// Does what is to be done with a VM whose image is in place, and looks what it is then. Nothing that fails here takes the image away.
  ///
  /// - Parameter hasRunOn: whether it has run since the moment of the image.
  private func end(_ session: VMSession, hasRunOn: Bool) -> VMSaveReport.After {
    let resumes = afterwards.resumes(from: session.stateBefore)
    let failure = session.complete(resumes: resumes)
    do throws(VMError) {
      if hasRunOn, !resumes { try session.executeAgain(.stop) }
      if afterwards == .quit {
        try session.quit()
        return .ended
      }
      var state = try session.execute(.queryStatus)
      if let failure { return .failed(failure, state: state.rawValue) }
      // One that was paused before.
      if resumes, !state.isLive, !session.stateBefore.isLive {
        do throws(VMError) {
          try session.resumePaused()
        } catch {
          return .failed(error, state: state.rawValue)
        }
        state = try session.execute(.queryStatus)
      }
      if state.isLive == resumes { return .state(state.rawValue) }
      let expected = afterwards.state(from: session.stateBefore)
      return .failed(
        .state(found: state.rawValue, expected: [expected.rawValue]), state: state.rawValue)
    } catch {
      return .failed(failure ?? error, state: nil)
    }
  }

  /// How long a VM of so much RAM may be paused, of which so many bytes a second are moved at most.
  ///
  /// - Parameter isResumed: whether it is to run again.
  func pauseLimit(
    ramByteCount: ByteCount, bytesPerSecond: UInt64?, isResumed: Bool = true
  ) -> PauseLimit {
    if let maximumDowntime {
      return PauseLimit(total: maximumDowntime, stalled: maximumDowntime)
    }
    // A save that is to be slow has twice the time that its own limit gives it.
    let rate = min(25 << 20, max(1, (bytesPerSecond ?? .max) / 2))
    let seconds = ramByteCount.rawValue / rate
    // A VM that is to stay paused has time.
    return PauseLimit(
      total: isResumed
        ? .seconds(60 + Int64(clamping: seconds)) : PauseLimit.unlimited,
      stalled: .seconds(30))
  }

  // MARK: What is refused

  /// A VM that libvirt manages, a state that no engine can save, a migration that another client has begun, and which is not ours to end,
  /// nor to be disturbed.
  private func check(_ vm: RunningVM) throws(VMError) {
    guard allowsLibvirt || !vm.isManagedByLibvirt else {
      throw .managedByLibvirt(domain: vm.name)
    }
    for obstacle in SaveObstacle.all(of: vm) {
      switch obstacle {
      case .migrating(let status):
        throw .state(found: "migration: \(status.rawValue)", expected: ["no migration under way"])
      // A capture can save a VM that has been migrated, or whose guest is asleep.
      case .runState(let state) where state.isMoving: throw .notRunning(state)
      // Of the rest it depends on the engine.
      default: break
      }
    }
    if afterwards == .resume, !vm.runState.canBeResumed { throw .notRunning(vm.runState) }
  }

  /// The image must not take the place of what the VM uses, nor, unless that is allowed, of anything but an image.
  private func checkTarget(
    _ vm: RunningVM, _ access: Result<GuestMemory, CaptureObstacle>, _ connection: QMPConnection
  ) throws(VMError) {
    let files = try FilesInUse(by: vm, processID: processID, memory: access, asking: connection)
    if let use = files.use(of: image) { throw .usedByVM(image, use) }
    do throws(ImageError) {
      try TargetContents.check(image, inPlace: inPlace, replacing: replacing, vm: vm.identity)
    } catch {
      throw .image(error)
    }
  }

  private func warnings(
    _ vm: RunningVM, _ access: Result<GuestMemory, CaptureObstacle>
  ) throws(VMError) -> [VMSaveWarning] {
    let room = try checkRoom(vm) {
      VMInspection.memory(of: vm, access).reduce(0) { $0 + $1.savedBytesAtMost }
    }
    return [room, inPlace ? VMSaveWarning(ofReadersOf: image) : nil].compactMap { $0 }
  }

  /// Looks whether the engine that will be taken can do what is asked.
  private func checkEngine(_ choice: CaptureChoice, _ vm: RunningVM) throws(VMError) {
    let isDevice = File.isBlockDevice(image)
    switch (engine, choice) {
    case (.capture, .impossible(let obstacles)):
      throw .cannotCapture(obstacles, canUseQEMU: canUseQEMU(vm))
    // QEMU knows nothing of these devices.
    case (.auto, .impossible(let obstacles)) where !devices.isEmpty:
      throw .cannotCapture(obstacles, canUseQEMU: false)
    case (.auto, .impossible(let obstacles)) where isDevice:
      guard obstaclesToQEMU(vm) == [.blockDevice(image)] else {
        throw .cannotCapture(obstacles, canUseQEMU: false)
      }
      throw .deviceByQEMU(image, obstacles)
    case (.qemu, _) where isDevice: throw .deviceByQEMU(image, choice.obstacles)
    case (.qemu, _) where needsCapture, (.auto, .impossible) where needsCapture:
      throw .layoutByQEMU(choice.obstacles)
    default: break
    }
  }

  /// Looks whether QEMU may read the memory of a VM that it saves by itself.
  ///
  /// - Throws: `notByQEMU` where that may end the VM, or brings an image into memory that nobody has asked for.
  private func checkMemory(
    _ memory: [ImageMemory], _ choice: CaptureChoice
  ) throws(VMError) -> [VMSaveWarning] {
    let refused = engine == .auto ? memory : memory.filter(\.isDangerous)
    guard refused.isEmpty else {
      throw .notByQEMU(refused.map(\.obstacle), engine == .auto ? choice.obstacles : [])
    }
    return memory.map { .readsImage(idstr: $0.idstr, path: $0.path) }
  }

  /// Whether the layout is one that QEMU does not write.
  private var needsCapture: Bool { layout ?? .qemu != .qemu }

  /// Whether QEMU could save the VM by itself as it is asked for.
  private func canUseQEMU(_ vm: RunningVM) -> Bool { obstaclesToQEMU(vm).isEmpty }

  /// What may have kept QEMU from saving a VM, and how to do without it.
  private static func hints(
    _ connection: QMPConnection, canCapture: Bool
  ) -> [MigrationHint] {
    // That the jobs cannot be had says less than why it came to it.
    let jobs = (try? connection.execute(.queryBlockJobs)) ?? []
    var hints: [MigrationHint] = []
    if !jobs.isEmpty { hints.append(.jobs(jobs.map { "\"\($0.id)\" (\($0.kind))" })) }
    if canCapture { hints.append(.canCapture) }
    return hints
  }
}
