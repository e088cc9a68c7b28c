public import MappedRAMFormat

extension RunState {
  /// Waits for an image (`-incoming`).
  public static let inMigrate = RunState(rawValue: "inmigrate")
  /// The last moments of a migration.
  public static let finishMigrate = RunState(rawValue: "finish-migrate")
  /// A migration of it has ended well; QEMU has given up its disks.
  public static let postMigrate = RunState(rawValue: "postmigrate")

  /// Whether the VM is running: its processors run, or the guest sleeps and can wake up.
  public var isLive: Bool { runsAtOnce }

  /// Whether QEMU moves the VM's memory itself (QEMU 10.0, qapi/run-state.json).
  var isMoving: Bool {
    ["inmigrate", "finish-migrate", "save-vm", "restore-vm", "colo"].contains(rawValue)
  }

  /// Whether QEMU can save the VM by a migration: not while it waits for an image, has given up its disks, or moves the memory already
  /// (QEMU 10.0, migration/migration.c, `migrate_prepare`; seen with 10.0.2), nor while the guest is asleep, as QEMU does not survive being
  /// told to resume it from `postmigrate`.
  var canMigrate: Bool { !isMoving && self != .postMigrate && self != .suspended }

  /// Whether a migration has brought the VM into it.
  var isMigrated: Bool { self == .postMigrate || self == .finishMigrate }

  /// Whether QEMU resumes a VM in this state: not one that has to be reset first, or that waits for an image.
  var canBeResumed: Bool {
    !["shutdown", "internal-error", "inmigrate"].contains(rawValue)
  }

  /// What an image is to say that a VM in this state was doing.
  var inImage: RunState {
    // What a migration has left behind is a VM that was paused.
    self == .postMigrate ? .paused : self
  }
}

/// What to do with a VM once its image is in place, or once it has its image.
public enum Ending: Sendable {
  /// It runs if it ran, before it was saved or paused for that.
  case asBefore
  /// It runs.
  case resume
  /// It is paused.
  case pause
  /// It is paused, and QEMU ends. Of a restore: as `pause`.
  case quit

  /// The state that a VM which was in `state` is to be in, as far as it matters: it runs, or does not.
  func state(from state: RunState) -> RunState {
    switch self {
    case .asBefore: state
    case .resume: .running
    case .pause, .quit: .paused
    }
  }

  /// Whether a VM that was in `state` is to run.
  public func resumes(from state: RunState) -> Bool { self.state(from: state).isLive }
}
