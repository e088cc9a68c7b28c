public import MappedRAMFormat

extension RunState {
  /// Waits for an image (`-incoming`).
  public static let inMigrate = RunState(rawValue: "inmigrate")
  /// The last moments of a migration.
  public static let finishMigrate = RunState(rawValue: "finish-migrate")
  /// A migration of it has ended well; QEMU has given up its disks.
  public static let postMigrate = RunState(rawValue: "postmigrate")

  /// Whether the VM goes on by itself: its processors run, or the guest sleeps and can wake up.
  public var isLive: Bool { goesOnAtOnce }
}

extension RunState {
  /// What an image is to say that a VM in this state was doing.
  var inImage: RunState {
    // What a migration has left behind is a VM that was paused.
    self == .postMigrate ? .paused : self
  }

  /// Whether QEMU resumes a VM in this state: not one that has to be reset first, or that waits for an image.
  var canBeResumed: Bool {
    ![RunState(rawValue: "shutdown"), RunState(rawValue: "internal-error"), .inMigrate]
      .contains(self)
  }
}
