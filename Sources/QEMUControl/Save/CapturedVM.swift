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
  /// What QEMU's own devices' state is written to.
  private var stateFile: DeviceStateFile?
  /// What the image is to say of the VM.
  private let facts: VMFacts?

  private var vm: RunningVM { job.vm }
  private var session: VMSession { job.session }
  private var slots: SlotLayout { job.save.layout ?? VMSave.capturedLayout }

  init(_ job: SaveJob, _ memory: GuestMemory, _ platform: GuestPlatform) {
    self.job = job
    self.memory = memory
    self.platform = platform
    devices = job.save.devices
    facts = VMFacts(of: job)
  }

  /// Does what can be done while the VM still runs: devices get ready, and QEMU has a file for its own.
  mutating func prepare() throws(VMError) {
    do throws(ImageError) {
      for index in devices.indices where !job.cancellation.isCancelled {
        try devices[index].prepare()
      }
    } catch {
      throw .image(error)
    }
    stateFile = try session.lendDeviceStateFile()
  }

  /// Has QEMU write the device state of the paused VM. `read` waits for it.
  func saveState() -> QMPCommand<Void> { handedFile.save }

  /// The device state, once `saveState` was sent.
  func readState(_ sent: SentCommand<Void>) throws(VMError) -> DeviceStateStream {
    try session.read(handedFile, sent)
  }

  private var handedFile: DeviceStateFile {
    guard let stateFile else { preconditionFailure("it is prepared before the pause") }
    return stateFile
  }

  /// The plan without what only the paused VM can tell: the device state.
  func head() throws(ImageError) -> SavePlan {
    try SavePlan(
      prologue: StreamPrologue(
        configuration: platform.configuration(machineType: vm.machineType)),
      blocks: memory.planned(pageSize: platform.pageSize), tail: [], slots: slots,
      for: job.save.image)
  }

  /// Pauses the VM, and looks at it again: resizable blocks may have grown until then, and devices may have come that cannot migrate
  /// (QEMU 10.0.2 would not survive being asked for their state).
  ///
  /// - Parameter mayHaveGrown: whether blocks may be others than they were. Not once their pages have slots.
  mutating func pause(_ limit: PauseLimit, mayHaveGrown: Bool) throws(VMError) {
    let connection = session.connection
    let look = try session.pause(limit) { () throws(QMPError) in try connection.askAgain() }
    let (obstacles, all) = try VMError.asking { () throws(QMPError) in
      try connection.answers(to: look, of: vm)
    }
    let blocks = all.filter(\.isMigratable)
    if blocks != vm.blocks {
      guard mayHaveGrown else { throw .image(.save(.slotsDiffer(job.save.image))) }
      var now = vm
      now.blocks = blocks
      switch GuestMemory.access(to: now, processID: memory.processID) {
      case .success(let found): memory = found
      case .failure(let obstacle): throw .cannotCapture([obstacle], canUseQEMU: false)
      }
    }
    guard obstacles.isEmpty else { throw .cannotCapture(obstacles, canUseQEMU: false) }
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
      ).with(devices: devices).with(facts: facts?.now())
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
