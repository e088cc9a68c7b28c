import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A VM whose memory is read from outside, and what of it becomes an image.
struct CapturedVM {
  private let job: SaveJob
  /// The memory as it is known: of a paused VM, as it is then.
  private(set) var memory: GuestMemory
  private let platform: GuestPlatform
  /// The devices whose states are saved beside the RAM.
  private var devices: [DeviceSource]

  private var vm: RunningVM { job.vm }
  private var session: VMSession { job.session }
  private var slots: SlotLayout { job.save.layout ?? VMSave.capturedLayout }

  init(_ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform) {
    self.job = job
    self.memory = memory
    self.platform = platform
    devices = job.save.devices
  }

  /// Lets devices do what can be done while the VM still runs.
  mutating func prepareDevices() throws(VMError) {
    do throws(ImageError) {
      for index in devices.indices where !job.cancellation.isCancelled {
        try devices[index].prepare()
      }
    } catch {
      throw .image(error)
    }
  }

  /// The plan without what only the paused VM can tell: the device state.
  func head() throws(ImageError) -> SavePlan {
    try SavePlan(
      prologue: StreamPrologue(
        configuration: platform.configuration(machineType: vm.machineType)),
      blocks: memory.planned(pageSize: platform.pageSize), tail: [], slots: slots,
      for: job.save.image)
  }

  /// Looks at the paused VM: resizable blocks may have grown until then, and devices may have come that cannot migrate.
  ///
  /// - Parameter mayHaveGrown: whether blocks may be others than they were. Not once their pages have slots.
  mutating func lookAgain(mayHaveGrown: Bool) throws(VMError) {
    let blocks = try session.ramBlocks().filter(\.isMigratable)
    if blocks != vm.blocks {
      guard mayHaveGrown else { throw .image(.save(.slotsDiffer(job.save.image))) }
      var now = vm
      now.blocks = blocks
      switch GuestMemory.access(to: now, processID: memory.processID) {
      case .success(let found): memory = found
      case .failure(let obstacle): throw .cannotCapture([obstacle], canUseQEMU: false)
      }
    }
    try session.checkCanBeCaptured(vm)
  }

  /// The plan of the VM with its device state `state`.
  func plan(of state: DeviceStateStream) throws(VMError) -> SavePlan {
    // A migration's stream has a configuration of its own. The section id of RAM must be one that no device has.
    let prologue = state.prologue(
      state.configuration == nil ? platform.configuration(machineType: vm.machineType) : nil)
    do throws(ImageError) {
      return try SavePlan(
        prologue: prologue,
        blocks: memory.planned(pageSize: platform.pageSize),
        tail: state.tail(
          after: prologue, pageSize: platform.pageSize, switchoverStart: announcesSwitchover,
          runState: session.stateBefore.inImage),
        slots: slots, statesZeroSlots: true, for: job.save.image
      ).with(devices: devices)
    } catch {
      throw .image(error)
    }
  }

  /// Machine types from 10.0 on, and those without a version from QEMU 10.0 on, have SWITCHOVER_START in their streams.
  private var announcesSwitchover: Bool {
    MachineVersion(of: vm.machineType)?.announcesSwitchover ?? (vm.version.major >= 10)
  }

  /// Completes the image, whose pages are written.
  func finish(_ written: consuming WrittenSave, _ plan: SavePlan) throws(VMError) -> VMSaveReport {
    let transfer: TransferReport
    do throws(ImageError) {
      transfer = try written.finish(beforeCommit: session.keepSnapshots)
    } catch {
      throw .image(error)
    }
    var report = VMSaveReport(
      of: vm, by: .capture, blocks: plan.blocks.map(\.idstr), layout: plan.slots,
      fileSize: transfer.imageEnd, transfer: transfer)
    report.memory = memory.blocks
    report.live = transfer.live
    report.sent = transfer.sent
    return report
  }
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
  fileprivate func checkCanBeCaptured(_ vm: RunningVM) throws(VMError) {
    let obstacles = try VMError.asking { () throws(QMPError) in
      try connection.captureObstacles(now: vm)
    }
    guard obstacles.isEmpty else { throw .cannotCapture(obstacles, canUseQEMU: false) }
  }
}
