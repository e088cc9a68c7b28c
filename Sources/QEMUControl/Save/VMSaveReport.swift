public import MappedRAM
import MappedRAMFormat
public import SystemPackage

/// What the save of a VM did.
public struct VMSaveReport: Equatable, Sendable {
  /// Who wrote the image.
  public var engine: VMSave.Engine
  /// Why this engine was taken, where the choice was left to us and it is not the faster one.
  public var engineReasons: [CaptureObstacle]
  /// How the memory of each block was read; empty where QEMU wrote the image.
  public var memory: [BlockMemory]
  /// How long the VM stood still; `nil` for one that was paused before.
  public var pause: Duration?
  /// How the rounds of a live capture went.
  public var live: LiveReport?
  /// Rounds of a live save by QEMU.
  public var rounds: Int?
  /// The VM's state before the save, as `query-status` names it.
  public var stateBefore: String
  /// What has become of the VM, now that its image is in place.
  public var after: After
  /// What the image holds.
  public var machineType: String
  /// The blocks' names in the image's order.
  public var blocks: [String]
  /// Where the image ends.
  public var fileSize: UInt64
  /// The disks that the VM can write to.
  public var disks: [DiskOfImage]
  /// What it took.
  public var transfer: TransferReport

  /// What has become of a VM that was saved.
  public enum After: Equatable, Sendable {
    /// It was told to quit, and QEMU has ended: nobody writes to its disks any more.
    case ended
    /// It is as it was to be; its state, as `query-status` names it.
    case state(String)
    /// It may not be as it was to be, and why; its state, if that is known.
    case failed(VMError, state: String?)
  }

  /// The VM's state now, as `query-status` names it; `nil` where it has none any more, or that is not known.
  public var stateAfter: String? {
    switch after {
    case .ended, .failed(_, nil): nil
    case .state(let state), .failed(_, let state?): state
    }
  }

  /// A disk at the moment of the save.
  public struct DiskOfImage: Equatable, Sendable {
    /// The device or node, as the VM's configuration names it.
    public var name: String
    /// The file that belongs to the image, as QEMU names it; for other sources a URI.
    public var file: String
    /// The file to which the VM writes from then on; `nil` where there is no snapshot.
    public var overlay: FilePath?
    /// Whether the file has no name any more, and is lost when QEMU ends.
    public var isUnlinked = false
  }

  /// Whether the VM goes on, as far as is known, with disks that the image then no longer fits.
  public var disksDiverge: Bool {
    let mayRun: Bool =
      switch after {
      case .ended: false
      case .state(let state), .failed(_, let state?): state == "running"
      case .failed(_, nil): true
      }
    return mayRun && disks.contains { $0.overlay == nil }
  }
}

extension VMSaveReport {
  /// The report of a capture. The disks and what becomes of the VM are still to come.
  init(_ vm: RunningVM, _ outcome: CaptureSave.Outcome, _ memory: GuestMemory) {
    let plan = outcome.plan
    self.init(
      engine: .capture, engineReasons: [], memory: memory.blocks,
      live: outcome.live,
      stateBefore: vm.runState.rawValue, after: .ended,
      machineType: plan.prologue.configuration.machineType,
      blocks: plan.blocks.map(\.idstr), fileSize: plan.end.rawValue, disks: [],
      transfer: outcome.transfer)
  }

  /// The report of a save by QEMU, likewise.
  init(_ vm: RunningVM, _ outcome: QEMUSave.Outcome) {
    let image = outcome.image
    self.init(
      engine: .qemu, engineReasons: [], memory: [],
      rounds: outcome.rounds, stateBefore: vm.runState.rawValue, after: .ended,
      machineType: vm.machineType,
      blocks: image.blocks.map(\.idstr), fileSize: image.fileSize.rawValue, disks: [],
      transfer: outcome.transfer)
  }
}
