import LinuxIO
import LinuxProcesses
package import MappedRAM
public import MappedRAMFormat
public import QMP

/// What a running QEMU says of itself and its VM, at one moment.
///
/// Asking changes nothing and does not stop the VM. What was not asked for, as a restore needs less, is empty.
public struct RunningVM: Equatable, Sendable {
  /// QEMU's version.
  public var version: QEMUVersion
  /// What `-name` gave.
  public var name: String?
  /// What `-uuid` gave; `nil` for zeros.
  public var uuid: String?
  /// Whether libvirt runs it: its monitor has the name that libvirt gives it.
  public var isManagedByLibvirt: Bool
  /// The architecture: `x86_64`, `aarch64`, …
  public var target: String
  /// The machine type as the CONFIGURATION section names it: `pc-q35-10.0`.
  public var machineType: String
  /// What the VM did at that moment.
  public var runState: RunState
  /// For each processor the thread of QEMU that runs it, as QEMU's PID namespace numbers it. Its
  /// thread group (/proc/TID/status, Tgid) is QEMU's process, whoever made the socket.
  public var processorThreads: [Int32]
  /// The process that made the socket: QEMU, or what started it and handed the socket on. `nil`
  /// where this process cannot see it.
  public var peerProcessID: Int32?
  /// The user who made the socket.
  public var peerUserID: UInt32
  /// The RAMBlocks that a migration moves, in the order of a stream.
  public var blocks: [GuestBlock]
  /// RAMBlocks without a name: they are in no image.
  public var namelessBlocks: [GuestBlock]
  /// The memory backends.
  public var backends: [MemoryBackend]
  /// Memory in slots and on buses.
  public var memoryDevices: [MemoryDevice]
  /// Disks and drives.
  public var disks: [Disk]
  /// Each migration capability, and whether it is on.
  public var capabilities: [String: Bool]
  /// The migration parameters.
  public var parameters: [String: JSONValue]
  /// The state of the last or present migration.
  public var migration: MigrationInfo
  /// Why the VM cannot be captured from outside; empty if it can.
  public var obstacles: [CaptureObstacle]
}

extension RunningVM {
  /// What can be left out where it is not needed: each question takes QEMU 0.1 to 0.4 ms (10.0.2).
  package struct Questions: OptionSet {
    package let rawValue: Int

    /// Those of the bits of `rawValue`.
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Its name and UUID, and who runs it: `name`, `uuid`, `isManagedByLibvirt`.
    package static let identity = Questions(rawValue: 1 << 0)
    /// `processorThreads`: they tell QEMU's process.
    package static let processors = Questions(rawValue: 1 << 1)
    /// What its memory is made of: `backends`.
    package static let memory = Questions(rawValue: 1 << 2)
    /// `disks`.
    package static let disks = Questions(rawValue: 1 << 3)
    /// `parameters`.
    package static let parameters = Questions(rawValue: 1 << 4)
    /// Whether QEMU has the commands that a capture needs. Without it, none counts as missing.
    package static let commands = Questions(rawValue: 1 << 5)
    /// `memoryDevices`.
    package static let memoryDevices = Questions(rawValue: 1 << 6)

    /// All.
    package static let all: Questions = [
      .identity, .processors, .memory, .memoryDevices, .disks, .parameters, .commands,
    ]
  }

  /// Asks `connection` for everything: some 20 short commands.
  ///
  /// Throws `refused` where QEMU is too old to know one of them; as `QMPConnection.execute`.
  package init(asking connection: QMPConnection) throws(QMPError) {
    try self.init(asking: connection, for: .all)
  }

  /// Asks `connection` for `questions`, and what is needed always. All is asked in one breath, but for the files of memory.
  package init(
    asking connection: QMPConnection, for questions: Questions
  ) throws(QMPError) {
    func ask<Answer>(
      _ command: QMPCommand<Answer>, _ kind: Questions = []
    ) throws(QMPError) -> SentCommand<Answer>? {
      questions.isSuperset(of: kind) ? try connection.send(command) : nil
    }
    func answer<Answer>(to sent: SentCommand<Answer>?) throws(QMPError) -> Answer? {
      guard let sent else { return nil }
      return try connection.answer(to: sent)
    }
    version = try connection.qemuVersion()
    // In the order of the answers below.
    let (
      sentName, sentUUID, sentCharacterDevices, sentTarget, sentType, sentStatus, sentProcessors,
      sentMemoryDevices, sentDisks, sentCapabilities, sentParameters, sentMigration, sentDevices,
      sentCommands, sentBlocks
    ) = try connection.inOneBreath {
      () throws(QMPError) in
      (
        try ask(.queryName, .identity), try ask(.queryUUID, .identity),
        try ask(.queryCharacterDevices, .identity), try connection.send(.queryTarget),
        try connection.send(.qomGet("/machine", "type")), try connection.send(.queryStatus),
        try ask(.queryProcessors, .processors), try ask(.queryMemoryDevices, .memoryDevices),
        try ask(.queryBlock, .disks), try connection.send(.queryMigrationCapabilities),
        try ask(.queryMigrationParameters, .parameters), try connection.send(.queryMigrate),
        try connection.askForDevices(), try ask(.queryCommands, .commands),
        try connection.send(.queryRAMBlocks)
      )
    }

    name = try answer(to: sentName) ?? nil
    let uuid = try answer(to: sentUUID)
    self.uuid = uuid.flatMap {
      $0.utf8.allSatisfy { $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: "-") } ? nil : $0
    }
    // What libvirt 11.3 calls the character device of its monitor (observed).
    isManagedByLibvirt = try answer(to: sentCharacterDevices)?.contains("charmonitor") ?? false
    target = try connection.answer(to: sentTarget)
    machineType = try connection.machineType(to: sentType)
    runState = try connection.answer(to: sentStatus)
    processorThreads = try answer(to: sentProcessors) ?? []
    peerProcessID = try connection.peerProcessID()
    peerUserID = try connection.peerUserID()
    memoryDevices = try answer(to: sentMemoryDevices) ?? []
    disks = try answer(to: sentDisks) ?? []
    capabilities = try connection.answer(to: sentCapabilities)
    parameters = try answer(to: sentParameters) ?? [:]
    migration = try connection.answer(to: sentMigration)
    let vfioDevices = try connection.vfioDevices(in: sentDevices)
    let commands = try answer(to: sentCommands) ?? Set(CaptureObstacle.commands)
    // Last, as it may take another question, and so do the files of memory.
    let all = try connection.ramBlocks(to: sentBlocks)
    blocks = all.filter(\.isMigratable)
    namelessBlocks = all.filter { !$0.isMigratable }
    backends = questions.contains(.memory) ? try connection.memoryBackends() : []
    obstacles =
      CaptureFacts(
        migration: migration, runState: runState, target: target, machineType: machineType,
        capabilities: capabilities, vfioDevices: vfioDevices, commands: commands
      ).obstacles
  }

  /// The same, with the error as one of the VM's.
  init(
    lookingThrough connection: QMPConnection, for questions: Questions = .all
  ) throws(VMError) {
    self = try VMError.asking { () throws(QMPError) in
      try RunningVM(asking: connection, for: questions)
    }
  }

  /// The backend behind `block`; `nil` for a block that is QEMU's own, such as a ROM.
  public func backend(of block: GuestBlock) -> MemoryBackend? {
    // The whole name first: another backend's id may end in the same way.
    backends.first { $0.id == block.idstr && $0.isBehind(block) }
      ?? backends.first { $0.isBehind(block) }
  }

  /// Which VM it is.
  package var identity: VMIdentity {
    VMIdentity(machineType: machineType, name: name, uuid: uuid.flatMap(UUIDText.parse))
  }

  /// The disks that the guest can write to, and that keep changing after a save.
  public var writableDisks: [Disk] { disks.filter(\.isWritable) }

  /// The bytes of all blocks that an image holds.
  public var ramByteCount: ByteCount {
    // At most `ImageLimits.blocks` blocks of `ImageLimits.ramBytes` each: no overflow.
    ByteCount(blocks.reduce(0) { $0 + $1.usedLength.rawValue })
  }
}

extension RunningVM {
  /// The processes that may be QEMU, the likeliest first: the one that the processors' threads belong to, and the one that made the
  /// socket. They are not verified yet: see `objection(to:)`.
  public var possibleProcesses: [Int32] {
    let owner = processorThreads.first.flatMap { ProcessOwner.ofThread($0) }
    var found: [Int32] = []
    for candidate in [owner, peerProcessID] {
      if let candidate, !found.contains(candidate) { found.append(candidate) }
    }
    return found
  }

  /// Why the process cannot be what is at the other end, as far as users go; `nil` if it can be. QEMU tells its threads by itself, and one
  /// that an attacker controls may tell anybody's.
  ///
  /// A socket of root's may have been made for a QEMU of another user (libvirt does so), or by QEMU before it became one (`-run-with
  /// user=`); any other socket is QEMU's own.
  func objection(to processID: Int32) -> CaptureObstacle? {
    guard peerUserID != 0, let userID = ProcessOwner.user(of: processID)?.userID,
      userID != peerUserID
    else { return nil }
    return .foreignProcess(processID, userID: userID, peerUserID: peerUserID)
  }
}
