public import MappedRAMFormat

extension RunState {
  /// Waits for an image (`-incoming`).
  public static let inMigrate = RunState(rawValue: "inmigrate")
  /// A migration of it has ended well; QEMU has given up its disks.
  public static let postMigrate = RunState(rawValue: "postmigrate")

  /// Whether the VM goes on by itself: its processors run, or the guest sleeps and can wake up.
  public var isLive: Bool { goesOnAtOnce }
}

extension RunningVM {
  /// What an image is to say that the VM was doing.
  var imageRunState: RunState {
    // What a migration has left behind is a VM that was paused.
    runState == .postMigrate ? .paused : runState
  }
}
