import LinuxIO
import MappedRAM
import MappedRAMFormat

/// A save by QEMU itself, into a file that we open, check and give its name.
struct QEMUSave {
  let save: VMSave
  let vm: RunningVM
  let connection: QMPConnection
  let snapshots: DiskSnapshots?

  /// What was saved, and how.
  struct Outcome {
    var image: Image
    var pause: Duration?
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
    guard vm.runState != .postMigrate else {
      throw .state(found: vm.runState.rawValue, expected: ["running", "paused"])
    }
    return try snapshots.prepared { () throws(VMError) in
      // In place, this is the end of what the file held: all that can be asked before has been.
      let foreign = try moving { () throws(ImageError) in
        try ForeignSave(
          to: save.image, inPlace: save.inPlace, replacing: save.replacing, vm: vm.identity,
          directIO: save.options.directIO)
      }
      let target = foreign.file
      // What is used once inside of closures is taken out of an optional.
      var file: ForeignSave? = consume foreign
      let isDirect = target.isDirect && settings.has(parameter: "direct-io")
      settings.plan(
        capabilities: [Configuration.mappedRAMCapability, "multifd"],
        parameters: FileMigration.savingParameters(direct: isDirect, live: live),
        touched: Set(FileMigration.crawl.keys))
      let planned = settings
      let set = DescriptorSet.ID()
      let standStill = try StandStill(
        connection, vm,
        // As long as the migration is under way, its channels may still open descriptors of the set.
        undoing: UndoStep.cancelMigrationWithChannels + [.waitForMigration, .remove(set)]
          + disksBack,
        afterwards: settings.undoSteps, stopping: live == nil)
      return try snapshots.taken(during: standStill) { () throws(VMError) in
        guard let file = file.take() else { preconditionFailure("used once") }
        try talking { () throws(QMPError) in try planned.apply(on: connection) }
        let rounds = try migrate(to: file, set, direct: isDirect, progress, cancellation)
        // QEMU itself has stopped a VM that is saved live.
        if live == nil { try standStill.check() }
        try goOn(standStill, planned)
        if live != nil { try clearStaleSlots(target, cancellation) }
        let image = try commit(file, cancellation)
        return Outcome(
          image: image, pause: standStill.pause,
          transfer: stopwatch.report(of: image, in: target), rounds: live.map { _ in rounds })
      }
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

  /// A VM that stays in the state `postmigrate` has its disks all the same, if it had them before.
  private var disksBack: [UndoStep] {
    let hadThem = vm.disks.allSatisfy { $0.medium?.isActive ?? true }
    return hadThem ? [.activateDisks] : []
  }

  /// QEMU has written everything: the VM goes on if it is to, with the settings that it had.
  private func goOn(
    _ standStill: StandStill, _ settings: MigrationSettings
  ) throws(VMError) {
    try talking { () throws(QMPError) in
      try settings.restore(on: connection)
      let goesOn = standStill.ran && [nil, .resume].contains(save.afterwards)
      if !goesOn, save.afterwards != .quit {
        for step in disksBack { try standStill.take(step) }
      }
      [nil, .resume].contains(save.afterwards) ? try standStill.end() : standStill.endPause()
    }
  }

  private func commit(
    _ file: consuming ForeignSave, _ cancellation: Cancellation
  ) throws(VMError) -> Image {
    do throws(ImageError) {
      return try file.commit(
        runState: vm.imageRunState, cancellation: cancellation)
    } catch {
      throw .image(error)
    }
  }

  private func migrate(
    to file: borrowing ForeignSave, _ id: DescriptorSet.ID, direct isDirect: Bool,
    _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> Int {
    let set = try DescriptorSet(
      file.file, for: .writing, direct: isDirect, to: connection, as: id)
    defer { set.removeOnceClosed() }
    return try FileMigration(
      connection: connection, path: save.image, hasChannels: true, live: live
    ).save(to: "file:\(set.path)", progress, cancellation)
  }
}
