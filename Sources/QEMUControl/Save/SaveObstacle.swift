import LinuxIO
import LinuxProcesses
public import MappedRAMFormat
public import QMP
public import SystemPackage

/// Why QEMU cannot save a VM by itself, or not as it is asked for.
public enum SaveObstacle: Equatable, Sendable {
  /// This QEMU does not know mapped-ram.
  case tooOld(QEMUVersion)
  /// QEMU itself says that the VM cannot be migrated: its words.
  case blocked(reason: String)
  /// A migration is under way.
  case migrating(MigrationInfo.Status)
  /// The VM is in a state in which QEMU takes no migration: its guest is asleep, for example.
  case runState(RunState)
  /// A block is a private mapping of a part of a file, as those of a VM that runs on an image: QEMU would read all of it.
  case runsOnImage(idstr: String, path: String)
  /// A block is a private mapping of a file in memory (tmpfs), whose holes take memory for good where they are read: so many bytes, of
  /// which that file system has so many left.
  case fillsMemory(idstr: String, path: String, byteCount: UInt64, available: UInt64)
  /// The image is to be on a block device, which QEMU cannot cut.
  case blockDevice(FilePath)
  /// QEMU does not write this layout.
  case layout(SlotLayout)
  /// States of devices are to be saved that QEMU does not save.
  case devices
  /// Snapshots of the disks are to be taken, for which QEMU's live save has no moment.
  case liveSnapshots
  /// The VM is to stay paused, which QEMU would leave in the state `postmigrate`.
  case staysPaused
  /// Direct I/O is required, and this QEMU does not have it.
  case directIO(QEMUVersion)
  /// The requests are to have an I/O priority, which those of QEMU's threads cannot be given.
  case ioPriority
}

extension SaveObstacle {
  /// What of the VM itself is in QEMU's way, whatever is asked for.
  static func all(of vm: RunningVM) -> [SaveObstacle] {
    var found: [SaveObstacle] = []
    if vm.capabilities[Configuration.mappedRAMCapability] == nil {
      found.append(.tooOld(vm.version))
    }
    found += vm.migration.blockedReasons.map(SaveObstacle.blocked)
    if let status = vm.migration.status, !status.isOver { found.append(.migrating(status)) }
    if !vm.runState.canMigrate { found.append(.runState(vm.runState)) }
    return found
  }
}

extension VMSave {
  /// What is in the way of a save of `vm` by QEMU itself that does all that is asked for; the memory is told by `ImageMemory`.
  func obstaclesToQEMU(_ vm: RunningVM) -> [SaveObstacle] {
    var found = SaveObstacle.all(of: vm)
    if File.isBlockDevice(image) { found.append(.blockDevice(image)) }
    if let layout, layout != .qemu { found.append(.layout(layout)) }
    if !devices.isEmpty { found.append(.devices) }
    if live != nil, vm.runState.isLive, snapshotDirectory != nil { found.append(.liveSnapshots) }
    return found
  }

  /// What is in the way of QEMU's own live save in the place of a capture: it has to be as good in all that is asked for.
  func obstaclesToChoosingQEMU(_ vm: RunningVM, _ memory: [ImageMemory]) -> [SaveObstacle] {
    var found = obstaclesToQEMU(vm) + memory.map(\.obstacle)
    if afterwards == .pause { found.append(.staysPaused) }
    if options.directIO == .required, vm.parameters["direct-io"] == nil {
      found.append(.directIO(vm.version))
    }
    if options.ioPriority != nil { found.append(.ioPriority) }
    return found
  }
}

extension SaveObstacle {
  /// Whether a save by QEMU could end the VM.
  public var isDangerous: Bool {
    if case .fillsMemory = self { true } else { false }
  }
}

extension SaveObstacle: CustomStringConvertible {
  /// The reason, as a sentence.
  public var description: String {
    switch self {
    case .tooOld(let version): VMError.tooOld(version).description
    case .blocked(let reason): CaptureObstacle.blocked(reason: reason).description
    case .migrating(let status): CaptureObstacle.migrating(status).description
    case .runState(let state): "QEMU cannot migrate in this state (\(state.rawValue))."
    case .runsOnImage(let idstr, let path):
      "RAMBlock \"\(idstr)\" is mapped from \(path), on which the VM runs: QEMU would read all of it, its holes too, and keep it in memory."
    case .fillsMemory(let idstr, let path, let byteCount, let available):
      "RAMBlock \"\(idstr)\" is mapped from \(path), which is in memory: QEMU would read its holes, up to \(byteCount) bytes, which "
        + "then stay allocated, and \(available) are free. On a full file system the VMs that run on the file end."
    case .blockDevice(let path): "QEMU cannot save into a block device (\(path))."
    case .layout(let layout): "QEMU does not write the layout \(layout.rawValue)."
    case .devices: "QEMU does not save the states of other devices than its own."
    case .liveSnapshots: "QEMU's own live save has no moment for snapshots of the disks."
    case .staysPaused:
      "The VM is to stay paused, and QEMU would leave it in the state postmigrate."
    case .directIO(let version):
      "QEMU \(version.description) does not have direct I/O, which is required."
    case .ioPriority: "QEMU's threads cannot be given an I/O priority."
    }
  }
}
