import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A save by capture: QEMU gives the device state of the paused VM, the RAM is read from outside.
final class CaptureEngine: SaveEngine {
  private let job: SaveJob
  /// The memory as it is known: of a paused VM, as it is then.
  private var memory: GuestMemory
  private let platform: GuestPlatform
  /// A live save, from its first round on.
  private var ongoing: OngoingSave?
  /// The devices whose states are saved beside the RAM.
  private var devices: [DeviceSource]

  private var save: VMSave { job.save }
  private var vm: RunningVM { job.vm }
  private var session: VMSession { job.session }

  /// A save of the memory `memory`.
  init(_ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform) throws(VMError) {
    self.job = job
    self.memory = memory
    self.platform = platform
    devices = job.save.devices
    guard let live = job.live else { return }
    let processID = memory.processID
    do throws(ImageError) {
      // The plan without what only the paused VM can tell: the device state.
      let head = try SavePlan(
        prologue: StreamPrologue(
          configuration: platform.configuration(machineType: job.vm.machineType)),
        blocks: memory.planned(pageSize: platform.pageSize), tail: [], for: job.save.image)
      ongoing = try ImageSave(head, options: job.options).begin(
        to: job.save.image, inPlace: job.save.inPlace, replacing: job.save.replacing, live: live,
        guestTime: { Self.processorTime(of: processID) }, progress: job.progress,
        cancellation: job.cancellation)
    } catch {
      throw .image(error)
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

  func runRounds() throws(VMError) {
    do throws(ImageError) {
      try ongoing?.runRounds()
    } catch {
      throw .image(error)
    }
  }

  func pause(_ limit: PauseLimit) throws(VMError) {
    do throws(ImageError) {
      for index in devices.indices where !job.cancellation.isCancelled {
        try devices[index].prepare()
      }
    } catch {
      throw .image(error)
    }
    try session.pause(limit)
  }

  /// The plan of the paused VM.
  func takeState() throws(VMError) -> SavePlan {
    memory = try memoryNow()
    try session.checkCanBeCaptured()
    let state = try session.readDeviceState()
    do throws(ImageError) {
      return try plan(of: state, memory)
    } catch {
      throw .image(error)
    }
  }

  /// The memory as it is now: resizable blocks may have grown until the VM was paused. In a live save that is an error, as the pages of all
  /// blocks have their slots by then.
  private func memoryNow() throws(VMError) -> GuestMemory {
    let blocks = try session.ramBlocks().filter(\.isMigratable)
    guard blocks != vm.blocks else { return memory }
    guard ongoing == nil else { throw .image(.save(.slotsDiffer(save.image))) }
    var now = vm
    now.blocks = blocks
    switch GuestMemory.access(to: now, processID: memory.processID) {
    case .success(let memory): return memory
    case .failure(let obstacle): throw .cannotCapture([obstacle], canUseQEMU: false)
    }
  }

  private func plan(
    of state: DeviceStateStream, _ memory: GuestMemory
  ) throws(ImageError) -> SavePlan {
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
    ).with(devices: devices)
  }

  /// Machine types from 10.0 on, and those without a version from QEMU 10.0 on, have SWITCHOVER_START in their streams.
  private var announcesSwitchover: Bool {
    MachineVersion(of: vm.machineType)?.announcesSwitchover ?? (vm.version.major >= 10)
  }

  func write(
    _ plan: SavePlan, pagesAreRead: () throws(VMError) -> Void
  ) throws(VMError) -> VMSaveReport {
    let written: WrittenSave
    do throws(ImageError) {
      if let ongoing = ongoing.take() {
        written = try ongoing.writePages(plan)
      } else {
        written = try ImageSave(plan, options: job.options).begin(
          to: save.image, inPlace: save.inPlace, replacing: save.replacing, progress: job.progress,
          cancellation: job.cancellation
        ).writePages()
      }
    } catch {
      throw .image(error)
    }
    try pagesAreRead()
    let transfer: TransferReport
    do throws(ImageError) {
      transfer = try written.finish(beforeCommit: session.keepSnapshots)
    } catch {
      throw .image(error)
    }
    var report = VMSaveReport(
      of: vm, by: .capture, blocks: plan.blocks.map(\.idstr), fileSize: transfer.imageEnd,
      transfer: transfer)
    report.memory = memory.blocks
    report.live = transfer.live
    return report
  }

  func checkPause() throws(VMError) { try session.checkPause() }
}

extension VMSession {
  /// All RAMBlocks, as they are now.
  fileprivate func ramBlocks() throws(VMError) -> [GuestBlock] {
    try VMError.asking { () throws(QMPError) in try connection.ramBlocks() }
  }

  /// Looks once more whether the VM can be captured.
  ///
  /// - Throws: `cannotCapture` where it has got a device meanwhile that cannot migrate: QEMU 10.0.2 would not survive being asked for its
  ///   state.
  fileprivate func checkCanBeCaptured() throws(VMError) {
    let obstacles = try VMError.asking { () throws(QMPError) in
      try connection.captureObstacles()
    }
    guard obstacles.isEmpty else { throw .cannotCapture(obstacles, canUseQEMU: false) }
  }
}
