public import LinuxIO
public import MappedRAMFormat
public import QMP

/// Why a VM cannot be saved from outside now.
///
/// The capture route needs `xen-save-devices-state`, which writes the devices that have no
/// iterable state and does not ask whether they can migrate.
public enum CaptureObstacle: Error, Equatable, Sendable {
  /// QEMU itself says that the VM cannot be migrated: its words. Among the reasons are devices
  /// without a saved form; QEMU 10.0.2 crashes if it is asked for the device state nevertheless.
  case blocked(reason: String)
  /// A migration is under way.
  case migrating(MigrationInfo.Status)
  /// The VM is in a state in which its memory is not its own.
  case runState(RunState)
  /// Guests of this architecture and machine have iterable state besides RAM: the page tables of
  /// a pseries, the storage attributes of an s390x.
  case iterableState(target: String, machineType: String)
  /// A VFIO device, whose state is iterable; `device` is its place in QEMU's object tree.
  case vfioDevice(String, type: String)
  /// A capability is on that puts into a stream what only QEMU can.
  case capability(String)
  /// This QEMU does not have a command that is needed.
  case missingCommand(String)
  /// What an image of such a machine begins with is not known.
  case unknownPlatform(target: String, machineType: String)
  /// QEMU's process was not found among those that can be seen from here; or it is not `given`, which the user said it was.
  case unknownProcess(given: Int32?)
  /// The process that QEMU says is its own is this user's, while another one listens at the socket.
  case foreignProcess(Int32, userID: UInt32, peerUserID: UInt32)
  /// This QEMU does not say where it has the VM's memory: there is no address in its table of RAMBlocks.
  case unknownAddresses
  /// QEMU's memory may not be read: why.
  case notPermitted(SystemCallError)

  /// Whether more permission would help.
  public var isMissingPermission: Bool {
    if case .notPermitted = self { true } else { false }
  }
}

extension CaptureObstacle {
  /// Capabilities that add to what a stream must hold: block dirty bitmaps are iterable state, and
  /// with COLO a second VM follows this one.
  static let capabilities = ["dirty-bitmaps", "x-colo"]

  /// The commands that a capture needs.
  static let commands = ["stop", "cont", "xen-save-devices-state"]

  /// Whether guests of `target` and `machineType` have iterable state besides RAM (QEMU 10.0,
  /// hw/ppc/spapr.c and hw/s390x/s390-stattrib.c, the users of `register_savevm_live`).
  static func hasIterableState(target: String, machineType: String) -> Bool {
    target == "s390x" || (target.hasPrefix("ppc64") && machineType.hasPrefix("pseries"))
  }
}

extension RunningVM {
  /// Whether QEMU can be asked for the state of its devices: QEMU 10.0.2 crashes at that where a device has none (tried: nvme).
  var tellsItsDevices: Bool {
    !obstacles.contains { obstacle in
      switch obstacle {
      case .blocked, .vfioDevice, .missingCommand: true
      default: false
      }
    }
  }
}

extension CaptureObstacle: CustomStringConvertible {
  /// The reason, as a sentence.
  public var description: String {
    switch self {
    case .blocked(let reason): "QEMU cannot migrate this VM: \(reason)."
    case .migrating(let status): "A migration is in progress (\(status.rawValue))."
    case .runState(let state): "QEMU itself is moving the VM's memory (\(state.rawValue))."
    case .iterableState(let target, let machineType):
      "A \(machineType) of \(target) has state besides RAM that only QEMU can save."
    case .vfioDevice(let device, let type):
      "The device \(device) (\(type)) has state that only QEMU can save."
    case .capability(let name):
      "The migration capability \(name) is on, which only QEMU supports."
    case .missingCommand(let name): "This QEMU does not have the command \(name)."
    case .unknownPlatform(let target, let machineType):
      "The format of an image of a \(machineType) of \(target) is not known."
    case .unknownProcess(let given?):
      "Process \(given) is not this QEMU: it does not have the VM's memory, or it does not exist."
    case .unknownProcess(nil):
      "The process of this QEMU cannot be seen from here: it runs on another machine, or in another PID namespace. "
        + "Work where it runs, or give its process ID."
    case .foreignProcess(let process, let userID, let peerUserID):
      "QEMU's process, as it reports, is \(process) of user \(userID), but user \(peerUserID) listens on the socket."
    case .unknownAddresses:
      "This QEMU does not report where the VM's memory is (x-query-ramblock has no addresses)."
    case .notPermitted(let error):
      "QEMU's memory may not be read: \(error.statement) Run this command as root, with CAP_SYS_PTRACE, or as the user of "
        + "QEMU where kernel.yama.ptrace_scope is 0."
    }
  }
}

/// What QEMU says of a VM, as far as it decides whether that can be captured.
struct CaptureFacts {
  var migration: MigrationInfo
  var runState: RunState
  var target: String
  var machineType: String
  var capabilities: [String: Bool]
  /// Each a `vfioDevice`.
  var vfioDevices: [CaptureObstacle]
  /// The commands that this QEMU has.
  var commands: Set<String>

  /// What is in the way.
  var obstacles: [CaptureObstacle] {
    var found: [CaptureObstacle] = []
    if let status = migration.status, !status.isOver { found.append(.migrating(status)) }
    found += migration.blockedReasons.map(CaptureObstacle.blocked)
    if runState.isMoving { found.append(.runState(runState)) }
    if CaptureObstacle.hasIterableState(target: target, machineType: machineType) {
      found.append(.iterableState(target: target, machineType: machineType))
    }
    found += CaptureObstacle.capabilities.filter { capabilities[$0] == true }
      .map(CaptureObstacle.capability)
    found += vfioDevices
    found += CaptureObstacle.commands.filter { !commands.contains($0) }
      .map(CaptureObstacle.missingCommand)
    return found
  }
}

/// What is asked about a VM right behind `stop`: what may have changed since it was looked at. The blocks come last, as another question
/// may be needed for them.
struct LastLook {
  fileprivate let migration: SentCommand<MigrationInfo>
  fileprivate let runState: SentCommand<RunState>
  fileprivate let capabilities: SentCommand<[String: Bool]>
  fileprivate let devices: [SentCommand<[QOMProperty]>]
  fileprivate let blocks: SentCommand<[GuestBlock]>
}

extension QMPConnection {
  /// Why the VM cannot be captured at this moment; empty if it can.
  ///
  /// Devices come and go, so ask again just before `saveDeviceState`. Six or so short commands.
  ///
  /// Throws as `execute(_:)`.
  public func captureObstacles() throws(QMPError) -> [CaptureObstacle] {
    CaptureFacts(
      migration: try execute(.queryMigrate), runState: try execute(.queryStatus),
      target: try execute(.queryTarget), machineType: try machineType(),
      capabilities: try execute(.queryMigrationCapabilities), vfioDevices: try vfioDevices(),
      commands: try execute(.queryCommands)
    ).obstacles
  }

  /// Asks what of a VM can have changed since it was looked at, without waiting.
  func askAgain() throws(QMPError) -> LastLook {
    try inOneBreath { () throws(QMPError) in
      LastLook(
        migration: try send(.queryMigrate), runState: try send(.queryStatus),
        capabilities: try send(.queryMigrationCapabilities), devices: try askForDevices(),
        blocks: try send(.queryRAMBlocks))
    }
  }

  /// The answers: why `vm` cannot be captured any more, and its RAMBlocks.
  func answers(
    to look: LastLook, of vm: RunningVM
  ) throws(QMPError) -> (obstacles: [CaptureObstacle], blocks: [GuestBlock]) {
    let facts = CaptureFacts(
      migration: try answer(to: look.migration), runState: try answer(to: look.runState),
      target: vm.target, machineType: vm.machineType,
      capabilities: try answer(to: look.capabilities),
      vfioDevices: try vfioDevices(in: look.devices), commands: Set(CaptureObstacle.commands))
    return (facts.obstacles, try ramBlocks(to: look.blocks))
  }

  /// The machine's type, as the CONFIGURATION section names it.
  ///
  /// Throws as `execute(_:)`.
  public func machineType() throws(QMPError) -> String {
    try machineType(to: try send(.qomGet("/machine", "type")))
  }

  /// The machine's type, by the answer to the question for the property `type` of `/machine`.
  func machineType(to sent: SentCommand<QMPAnswer>) throws(QMPError) -> String {
    let answer = try answer(to: sent)
    let type = try answer.string()
    let suffix = "-machine"
    guard type.hasSuffix(suffix), type.utf8.count > suffix.utf8.count else {
      throw answer.unexpected("a machine type that ends in \(suffix)")
    }
    return String(type.dropLast(suffix.count))
  }

  /// VFIO devices.
  func vfioDevices() throws(QMPError) -> [CaptureObstacle] {
    try vfioDevices(in: try askForDevices())
  }

  /// Asks for the devices in each of `deviceContainers`, without waiting.
  func askForDevices() throws(QMPError) -> [SentCommand<[QOMProperty]>] {
    try Self.deviceContainers.map { (container) throws(QMPError) in
      try send(.qomList(container))
    }
  }

  /// VFIO devices, by the answers to `askForDevices`.
  func vfioDevices(
    in sent: [SentCommand<[QOMProperty]>]
  ) throws(QMPError) -> [CaptureObstacle] {
    var found: [CaptureObstacle] = []
    for (container, devices) in zip(Self.deviceContainers, sent) {
      for property in try answer(to: devices) {
        guard let type = property.child, type.hasPrefix("vfio-") else { continue }
        found.append(.vfioDevice("\(container)/\(property.name)", type: type))
      }
    }
    return found
  }

  /// Where `-device` puts devices: those with a name, and the others.
  private static let deviceContainers = ["/machine/peripheral", "/machine/peripheral-anon"]
}
