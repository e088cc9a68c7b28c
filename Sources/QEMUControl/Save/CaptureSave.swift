import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A save by capture: the VM stands still, QEMU gives its device state, the RAM is read from outside.
struct CaptureSave {
  let save: VMSave
  let vm: RunningVM
  let memory: GuestMemory
  let platform: GuestPlatform
  let session: VMSession
  let snapshots: DiskSnapshots?

  /// What was saved, and how.
  struct Outcome {
    var plan: SavePlan
    var transfer: TransferReport
    var live: LiveReport?
  }

  /// Saves. Whatever goes wrong, the VM is afterwards what it was before.
  func run(_ progress: Progress, _ cancellation: Cancellation) throws(VMError) -> Outcome {
    if let live = save.live, vm.runState.isLive {
      return try run(live, progress, cancellation)
    }
    return try session.unwinding { () throws(VMError) in
      try snapshots?.prepare(session)
      try session.pause(save.pauseLimit(of: vm))
      try snapshots?.check()
      try snapshots?.take(session)
      let state = try session.readDeviceState()
      let plan = try plan(of: state, memory: try memoryNow())
      let transfer = try resuming { (pagesAreRead) throws(ImageError) in
        try ImageSave(plan, options: save.options).run(
          to: save.image, inPlace: save.inPlace, replacing: save.replacing, progress: progress,
          cancellation: cancellation, pagesAreRead: pagesAreRead,
          beforeCommit: session.keepSnapshots)
      }
      return Outcome(plan: plan, transfer: transfer)
    }
  }

  /// Runs `body` with what it has to call once all pages have been read: the VM is resumed then, if it is to be.
  func resuming<Value>(
    _ body: (ImageSave.Hook) throws(ImageError) -> Value
  ) throws(VMError) -> Value {
    var hookError: VMError?
    do throws(ImageError) {
      return try body { () throws(ImageError) in
        do throws(VMError) {
          try session.checkPause()
        } catch {
          hookError = error
          throw .cancelled
        }
        save.resumes ? session.resume() : session.keepPaused()
      }
    } catch {
      throw hookError ?? .image(error)
    }
  }

  /// The memory as it is now: resizable blocks may have grown until the VM stood still.
  private func memoryNow() throws(VMError) -> GuestMemory {
    let blocks = try blocksNow()
    guard blocks != vm.blocks else { return memory }
    var now = vm
    now.blocks = blocks
    switch GuestMemory.access(to: now, processID: memory.processID) {
    case .success(let memory): return memory
    case .failure(let obstacle): throw .cannotCapture([obstacle])
    }
  }

  func blocksNow() throws(VMError) -> [GuestBlock] {
    try talking { () throws(QMPError) in
      try session.connection.ramBlocks().filter(\.isMigratable)
    }
  }

  func plan(of state: DeviceStateStream, memory: GuestMemory) throws(VMError) -> SavePlan {
    try moving { () throws(ImageError) in
      // A migration's stream has a configuration of its own. The section id of RAM must be one that no device has.
      let prologue = state.prologue(
        state.configuration == nil ? platform.configuration(machineType: vm.machineType) : nil)
      return try SavePlan(
        prologue: prologue,
        blocks: memory.planned(pageSize: platform.pageSize),
        tail: state.tail(
          after: prologue, pageSize: platform.pageSize, switchoverStart: announcesSwitchover,
          runState: session.stateBefore.inImage),
        statesZeroSlots: true, for: save.image
      ).with(devices: save.devices)
    }
  }

  /// Machine types from 10.0 on, and those without a version from QEMU 10.0 on, have SWITCHOVER_START in their streams.
  private var announcesSwitchover: Bool {
    MachineVersion(of: vm.machineType)?.announcesSwitchover ?? (vm.version.major >= 10)
  }
}
