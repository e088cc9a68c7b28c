import LinuxIO
public import MappedRAM
public import MappedRAMFormat
public import SystemPackage

/// What the save of a VM did.
public struct VMSaveReport: Equatable, Sendable {
  /// Who wrote the image.
  public var engine: VMSave.Engine
  /// Why this engine was taken, where the choice was left to us and it is not the faster one.
  public var engineReasons: [CaptureObstacle]
  /// How the memory of each block was read; empty where QEMU wrote the image.
  public var memory: [BlockMemory]
  /// How long the VM was paused; `nil` for one that was paused before.
  public var pause: Duration?
  /// How the rounds of a live save went, by capture or by QEMU.
  public var live: LiveReport?
  /// What QEMU sent in a live save by a snapshot.
  public var sent: SentReport?
  /// What has become of the guest's huge pages then; `nil` where there were none, or the kernel does not tell.
  public var hugeMemory: HugeMemoryReport?
  /// Why a live save was not made by a snapshot, where the choice was left to us.
  public var protectionObstacles: [ProtectionObstacle] = []
  /// Why it was made in rounds then, or by QEMU; `nil` where there was no choice.
  public var liveChoice: LiveChoice?
  /// The VM's state before the save, as `query-status` names it.
  public var stateBefore: String
  /// What has become of the VM, now that its image is in place.
  public var after: After
  /// What the image holds.
  public var machineType: String
  /// The blocks' names in the image's order.
  public var blocks: [String]
  /// Where the pages of each block begin.
  public var layout: SlotLayout
  /// Where the image ends.
  public var fileSize: UInt64
  /// The disks that the VM can write to.
  public var disks: [DiskOfImage]
  /// What it took.
  public var transfer: TransferReport

  /// What has become of a VM that was saved.
  public enum After: Equatable, Sendable {
    /// It was told to quit, and QEMU has ended: it does not write to its disks any more.
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

  /// Whether the VM has been paused or ended, and has run until then since the moment of the image.
  public var hasRunOn: Bool {
    guard sent != nil else { return false }
    return switch after {
    case .ended: true
    case .state(let state), .failed(_, let state?): state != "running"
    case .failed(_, nil): false
    }
  }

  /// Whether the VM runs, as far as is known, with disks that the image then no longer fits.
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
  /// The report of a save of `vm` whose image is in place. What is said of the VM holds for the moment in which it was looked at.
  init(
    of vm: RunningVM, by engine: VMSave.Engine, blocks: [String], layout: SlotLayout,
    fileSize: FileOffset, transfer: TransferReport
  ) {
    self.init(
      engine: engine, engineReasons: [], memory: [], stateBefore: vm.runState.rawValue,
      after: .state(vm.runState.rawValue), machineType: vm.machineType, blocks: blocks,
      layout: layout, fileSize: fileSize.rawValue, disks: [], transfer: transfer)
  }
}

/// Something that does not stop a save, and that its user should know before.
public enum VMSaveWarning: Equatable, Sendable {
  /// The image may need more than its file system has left: then the save fails, and the VM is resumed.
  case mayNotFit(FilePath, available: UInt64, neededAtMost: UInt64)
  /// Others than its owner may read the file that the image is written into, with its guest's memory; its permissions.
  case othersMayRead(FilePath, permissions: UInt32)
  /// These disks have files without names: what is in them is lost when QEMU ends, and the image fits no disk then.
  case unlinkedDisks([String])
  /// There is no program of this name that could watch over the save.
  case noWatchdog(String)
  /// QEMU saves the VM by itself, and reads for it all of the file that it has this block from.
  case readsImage(idstr: String, path: String)
}

extension VMSaveWarning {
  /// `othersMayRead` of the regular file at `path`, which is to be written where it is; `nil` where only its owner may.
  public init?(ofReadersOf path: FilePath) {
    guard let permissions = File.permissions(at: path), permissions & 0o044 != 0 else {
      return nil
    }
    self = .othersMayRead(path, permissions: permissions)
  }
}

extension VMSaveWarning: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .mayNotFit(let path, let available, let needed):
      "\(path): \(available) bytes are free on the file system, and the image needs up to \(needed), and the device state. If it does "
        + "not fit, the save fails, and the VM continues as before."
    case .othersMayRead(let path, let permissions):
      "\(path): its permissions (\(String(permissions, radix: 8))) let others read it, and the image contains the guest's "
        + "memory. Remove them (chmod go-r), or save into a new file."
    case .unlinkedDisks(let disks):
      "\(DiskPlaces.unlinked(disks)) The image then matches no disk. Copy them over QMP (blockdev-backup) while the VM is paused, if what is in "
        + "them matters."
    case .readsImage(let idstr, let path):
      "RAMBlock \"\(idstr)\" is mapped from \(path): QEMU reads all of that, its holes too, and keeps it in memory. A capture reads what the "
        + "VM has changed, and the rest past the page cache."
    case .noWatchdog(let program):
      "\(program): not found, not mapped-ram, or another version of it, so this save has no watchdog: if it is killed, the VM may "
        + "stay paused."
    }
  }
}
