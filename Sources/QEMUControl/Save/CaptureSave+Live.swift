import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

extension CaptureSave {
  /// Saves while the VM runs, and pauses it for the last round alone.
  ///
  /// Until then nothing about the VM is touched.
  func run(
    _ live: LiveOptions, _ progress: Progress, _ cancellation: Cancellation
  ) throws(VMError) -> Outcome {
    let processID = memory.processID
    // What is used once inside of closures is taken out of an optional.
    var save: LiveSave? = try moving { () throws(ImageError) in
      var save = try LiveSave(
        try head, to: self.save.image, inPlace: self.save.inPlace,
        replacing: self.save.replacing, options: self.save.options,
        live: live, guestTime: { Self.processorTime(of: processID) },
        progress: progress, cancellation: cancellation)
      try save.runRounds()
      return save
    }
    let capture = DeviceStateCapture(connection: connection)
    let now = try vmNow()
    return try snapshots.prepared { () throws(VMError) in
      let standStill = try StandStill(connection, now, undoing: [.remove(capture.set)])
      return try snapshots.taken(during: standStill) { () throws(VMError) in
        guard let save = save.take() else { preconditionFailure("used once") }
        try checkBlocks()
        let state = try capture.read()
        let plan = try plan(of: state, memory: memory, runState: now.imageRunState)
        let (transfer, report) = try finish(save, plan, standStill)
        return Outcome(plan: plan, pause: standStill.pause, transfer: transfer, live: report)
      }
    }
  }

  /// What QEMU has used of the processors so far; `nil` where it has ended, which is found elsewhere, or /proc hides it.
  private static func processorTime(of processID: Int32) -> Duration? {
    do throws(SystemCallError) {
      return try ProcessorTime.used(by: processID)
    } catch {
      return nil
    }
  }

  private func finish(
    _ save: consuming LiveSave, _ plan: SavePlan, _ standStill: StandStill
  ) throws(VMError) -> (TransferReport, LiveReport) {
    var save: LiveSave? = consume save
    return try goingOn(standStill) { (pagesAreRead) throws(ImageError) in
      guard let save = save.take() else { preconditionFailure("used once") }
      return try save.finish(plan, pagesAreRead: pagesAreRead)
    }
  }

  /// The plan without what only the VM that stands still can tell: the device state.
  private var head: SavePlan {
    get throws(ImageError) {
      try SavePlan(
        prologue: StreamPrologue(
          configuration: platform.configuration(machineType: vm.machineType)),
        blocks: memory.planned(pageSize: platform.pageSize), tail: [], for: save.image)
    }
  }

  /// The VM as it is after the rounds: somebody else may have paused it, begun a migration, or given it a device that cannot migrate.
  private func vmNow() throws(VMError) -> RunningVM {
    var now = vm
    let obstacles = try talking { () throws(QMPError) in
      now.runState = try connection.execute(.queryStatus)
      return try connection.captureObstacles()
    }
    guard obstacles.isEmpty else { throw .cannotCapture(obstacles) }
    return now
  }

  /// Looks whether the blocks are those that the rounds have saved.
  private func checkBlocks() throws(VMError) {
    let blocks = try talking { () throws(QMPError) in
      try connection.ramBlocks().filter(\.isMigratable)
    }
    guard blocks == vm.blocks else { throw .image(.plan(.slotsDiffer(save.image))) }
  }
}
