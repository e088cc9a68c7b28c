import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP

/// A save by QEMU itself, into a file that we open, check and give its name.
struct QEMUSave {
  let save: VMSave
  let vm: RunningVM
  let session: VMSession
  let snapshots: DiskSnapshots?

  /// What was saved, and how.
  struct Outcome {
    var image: Image
    var transfer: TransferReport
    /// Of a live save.
    var rounds: Int?
  }

  /// How the VM is saved while it runs, if it does.
  private var live: LiveOptions? { vm.runState.isLive ? save.live : nil }

  /// Saves. Whatever goes wrong, the VM is afterwards what it was before.
  func run(_ progress: Progress, _ cancellation: Cancellation) throws(VMError) -> Outcome {
    let stopwatch = Stopwatch()
    guard live == nil || snapshots == nil else { throw .liveSnapshots }
    var settings = MigrationSettings(of: vm)
    guard settings.has(capability: Configuration.mappedRAMCapability) else {
      throw .tooOld(vm.version)
    }
    // From `postmigrate` QEMU does not migrate again, and it does not survive being told to resume a guest that was asleep.
    guard ![.postMigrate, .suspended].contains(vm.runState) else {
      throw .state(found: vm.runState.rawValue, expected: ["running", "paused"])
    }
    // In place, this is the end of what the file held: all that can be asked before has been.
    let file = try moving { () throws(ImageError) in
      try ForeignDraft.begin(
        at: save.image, inPlace: save.inPlace, replacing: save.replacing, vm: vm.identity,
        directIO: save.options.directIO)
    }
    let target = file.file
    session.isWritten(target)
    let isDirect = target.isDirect && settings.has(parameter: "direct-io")
    settings.plan(
      capabilities: [Configuration.mappedRAMCapability, "multifd"],
      parameters: FileMigration.savingParameters(direct: isDirect, live: live),
      touched: Set(FileMigration.crawl.keys))
    let planned = settings
    let rounds = try session.unwinding { () throws(VMError) in
      try snapshots?.prepare(session)
      session.note { $0.hadDisks = vm.disks.allSatisfy { $0.medium?.isActive ?? true } }
      if live == nil {
        try session.pause(save.pauseLimit(of: vm))
        guard session.stateBefore != .suspended else {
          throw .state(found: session.stateBefore.rawValue, expected: ["running", "paused"])
        }
      } else {
        try session.expectPause(save.pauseLimit(of: vm))
      }
      try snapshots?.check()
      try snapshots?.take(session)
      session.note { $0.settings = planned.changed }
      try apply(planned)
      let rounds = try migrate(to: target, direct: isDirect, progress, cancellation)
      // QEMU itself has paused a VM that is saved live.
      live == nil ? try session.checkPause() : session.lookAtWrittenImage()
      // Its disks are given up until it is resumed: that comes before everything else.
      save.resumes ? session.resume() : session.keepPaused()
      session.tidyUp()
      if live != nil { try clearStaleSlots(target, cancellation) }
      return rounds
    }
    // In place, what the file held is gone by now; what fails from here on leaves no image.
    let runState = session.stateBefore.inImage
    var saved: ForeignDraft? = consume file
    let image = try session.unwinding { () throws(VMError) in
      guard let saved = saved.take() else { preconditionFailure("used once") }
      return try commit(saved, runState, cancellation)
    }
    return Outcome(
      image: image, transfer: stopwatch.report(of: image, in: target),
      rounds: live.map { _ in rounds })
  }

  private func commit(
    _ file: consuming ForeignDraft, _ runState: RunState, _ cancellation: Cancellation
  ) throws(VMError) -> Image {
    do throws(ImageError) {
      return try file.commit(
        runState: runState, cancellation: cancellation, beforeCommit: session.keepSnapshots)
    } catch {
      throw .image(error)
    }
  }

  private func apply(_ settings: MigrationSettings) throws(VMError) {
    do throws(QMPError) {
      try settings.apply(on: session.connection)
    } catch {
      // Then nothing is changed: what is as we wanted it is somebody else's, whose migration is under way.
      if error.isRefusal { session.note { $0.settings = nil } }
      throw .qmp(error)
    }
  }

  /// Clears what QEMU has left in slots of pages that became zero while the VM ran.
  private func clearStaleSlots(_ file: File, _ cancellation: Cancellation) throws(VMError) {
    try moving { () throws(ImageError) in
      let image = try Image(reading: file, cancellation: cancellation)
      guard image.problems.isEmpty else { return }
      _ = try StaleSlots.clear(in: image.blocks, of: file, cancellation: cancellation)
    }
  }

  private func migrate(
    to file: File, direct isDirect: Bool, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> Int {
    let id = DescriptorSet.ID()
    session.note { $0.descriptorSet = id.number }
    let set = try DescriptorSet(
      file, for: .writing, direct: isDirect, to: session.connection, as: id)
    return try FileMigration(
      connection: session.connection, path: save.image, hasChannels: true, live: live,
      session: session
    ).save(to: "file:\(set.path)", progress, cancellation)
  }
}
