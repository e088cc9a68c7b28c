import LinuxIO
import LinuxProcesses
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
    var save: OngoingSave? = try moving { () throws(ImageError) in
      var save = try ImageSave(try head, options: self.save.options).begin(
        to: self.save.image, inPlace: self.save.inPlace, replacing: self.save.replacing,
        live: live, guestTime: { Self.processorTime(of: processID) }, progress: progress,
        cancellation: cancellation)
      try save.runRounds()
      return save
    }
    return try session.unwinding { () throws(VMError) in
      try snapshots?.prepare(session)
      try session.pause(self.save.pauseLimit(of: vm))
      try snapshots?.check()
      try snapshots?.take(session)
      guard try blocksNow() == vm.blocks else {
        throw .image(.plan(.slotsDiffer(self.save.image)))
      }
      let plan = try plan(of: try session.readDeviceState(), memory: memory)
      let transfer = try resuming { (pagesAreRead) throws(ImageError) in
        guard let save = save.take() else { preconditionFailure("used once") }
        return try save.finish(
          plan, pagesAreRead: pagesAreRead, beforeCommit: session.keepSnapshots)
      }
      return Outcome(plan: plan, transfer: transfer, live: transfer.live)
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

  /// The plan without what only the VM that stands still can tell: the device state.
  private var head: SavePlan {
    get throws(ImageError) {
      try SavePlan(
        prologue: StreamPrologue(
          configuration: platform.configuration(machineType: vm.machineType)),
        blocks: memory.planned(pageSize: platform.pageSize), tail: [], for: save.image)
    }
  }
}
