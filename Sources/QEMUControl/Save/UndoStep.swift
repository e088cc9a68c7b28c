/// A step on the way back to what a VM was before a save. To take it twice does no harm.
struct UndoStep {
  /// The command.
  let command: QMPCommand<Void>
  /// When it is sent again.
  let repetition: Repetition
  /// Whether there is nothing to do unless a migration is under way.
  let needsMigration: Bool
  /// How long to wait before it.
  let delay: Duration

  /// When a command is sent again.
  enum Repetition {
    /// Never: a refusal means that there is nothing to do.
    case never
    /// While QEMU refuses it: it is too early.
    case whileRefused
    /// `query-migrate`: until the channels are idle, see `FileMigration.Ending`.
    case untilIdle
  }

  init(
    _ command: QMPCommand<Void>, _ repetition: Repetition, needsMigration: Bool = false,
    delay: Duration = .zero
  ) {
    self.command = command
    self.repetition = repetition
    self.needsMigration = needsMigration
    self.delay = delay
  }

  /// Asks for the end of a migration, if there is one.
  static var cancelMigration: UndoStep {
    UndoStep(.migrateCancel, .never, needsMigration: true)
  }

  /// Asks for the end of a migration that has channels, once they have nothing to do: see `FileMigration.Ending`.
  static var cancelMigrationWithChannels: [UndoStep] {
    [
      UndoStep(.setMigrationParameters(FileMigration.crawl), .never, needsMigration: true),
      UndoStep(QMPCommand("query-migrate"), .untilIdle, needsMigration: true),
      cancelMigration,
    ]
  }

  /// Waits until no migration is under way: QEMU refuses until then to set capabilities, also none.
  static var waitForMigration: UndoStep {
    UndoStep(.setMigrationCapabilities([:]), .whileRefused)
  }

  /// Takes back the descriptors that QEMU was handed, if it was.
  static func remove(_ set: DescriptorSet.ID) -> UndoStep {
    UndoStep(.removeDescriptor(set: set.number), .never)
  }

  /// Gives QEMU its disks back, which a migration that has completed takes from it. Before QEMU 10.0 only `cont` does.
  static var activateDisks: UndoStep { UndoStep(.blockdevSetActive(true), .never) }

  /// Lets the VM go on.
  static var goOn: UndoStep { UndoStep(.cont, .whileRefused) }
}
