/// A step on the way back to what a VM was before a save. To take it twice does no harm.
struct UndoStep {
  /// The command.
  let command: QMPCommand<Void>
  /// Whether a refusal means that it is too early, and not that there is nothing to do.
  let isRepeated: Bool
  /// Whether there is nothing to do unless a migration is under way.
  let needsMigration: Bool
  /// How long to wait before it.
  let delay: Duration

  init(
    _ command: QMPCommand<Void>, isRepeated: Bool, needsMigration: Bool = false,
    delay: Duration = .zero
  ) {
    self.command = command
    self.isRepeated = isRepeated
    self.needsMigration = needsMigration
    self.delay = delay
  }

  /// Asks for the end of a migration, if there is one.
  static var cancelMigration: UndoStep {
    UndoStep(.migrateCancel, isRepeated: false, needsMigration: true)
  }

  /// Asks for the end of a migration that has channels, once they have nothing to do: see `FileMigration.Ending`.
  static var cancelMigrationWithChannels: [UndoStep] {
    [
      UndoStep(
        .setMigrationParameters(FileMigration.crawl), isRepeated: false, needsMigration: true),
      UndoStep(
        .migrateCancel, isRepeated: false, needsMigration: true, delay: .milliseconds(300)),
    ]
  }

  /// Waits until no migration is under way: QEMU refuses until then to set capabilities, also none.
  static var waitForMigration: UndoStep {
    UndoStep(.setMigrationCapabilities([:]), isRepeated: true)
  }

  /// Takes back the descriptors that QEMU was handed, if it was.
  static func remove(_ set: DescriptorSet.ID) -> UndoStep {
    UndoStep(.removeDescriptor(set: set.number), isRepeated: false)
  }

  /// Gives QEMU its disks back, which a migration that has completed takes from it. Before QEMU 10.0 only `cont` does.
  static var activateDisks: UndoStep { UndoStep(.blockdevSetActive(true), isRepeated: false) }

  /// Lets the VM go on.
  static var goOn: UndoStep { UndoStep(.cont, isRepeated: true) }
}
