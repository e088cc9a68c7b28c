import LinuxIO
import MappedRAM
import MappedRAMFormat

/// A save by QEMU itself, into a file that we open, check and give its name.
struct QEMUSave {
  let save: VMSave
  let vm: RunningVM
  let connection: QMPConnection
  let snapshots: DiskSnapshots?

  /// What was saved, and how.
  struct Outcome {
    var image: Image
    var pause: Duration?
    var transfer: TransferReport
  }

  /// The channels that QEMU saves and loads fastest with, as far as it was measured: 8, also on two processors.
  static let channels = 8

  /// Saves. Whatever goes wrong, the VM is afterwards what it was before.
  func run(_ progress: Progress, _ cancellation: Cancellation) throws(VMError) -> Outcome {
    let stopwatch = Stopwatch()
    let foreign = try moving { () throws(ImageError) in
      try ForeignSave(to: save.image, inPlace: save.inPlace, directIO: save.options.directIO)
    }
    let target = foreign.file
    // What is used once inside of closures is taken out of an optional.
    var file: ForeignSave? = consume foreign
    var settings = try talking { () throws(QMPError) in try MigrationSettings(of: connection) }
    guard settings.has(capability: Configuration.mappedRAMCapability) else {
      throw .tooOld(vm.version)
    }
    let isDirect = target.isDirect && settings.has(parameter: "direct-io")
    try talking { () throws(QMPError) in
      try settings.set(
        capabilities: [Configuration.mappedRAMCapability, "multifd"],
        parameters: Self.parameters(direct: isDirect), on: connection)
    }
    let standStill: StandStill
    do throws(VMError) {
      standStill = try StandStill(
        connection, state: vm.runState,
        undoing: [.migrateCancel] + settings.restoringCommands)
    } catch {
      try? settings.restore(on: connection)
      throw error
    }
    return try standStill.endingIfFailed { () throws(VMError) in
      try snapshots.undoneIfFailed { () throws(VMError) in
        guard let file = file.take() else { preconditionFailure("used once") }
        do throws(VMError) {
          try migrate(to: file, direct: isDirect, progress, cancellation)
        } catch {
          try? settings.restore(on: connection)
          throw error
        }
        try goOn(standStill, settings)
        let image = try commit(file, cancellation)
        return Outcome(
          image: image, pause: standStill.pause,
          transfer: stopwatch.report(of: image, in: target))
      }
    }
  }

  /// QEMU has written everything: the VM goes on if it is to, with the settings that it had.
  private func goOn(
    _ standStill: StandStill, _ settings: MigrationSettings
  ) throws(VMError) {
    try talking { () throws(QMPError) in
      try settings.restore(on: connection)
      guard save.afterwards == nil || save.afterwards == .resume else { return }
      try standStill.end()
    }
  }

  private func commit(
    _ file: consuming ForeignSave, _ cancellation: Cancellation
  ) throws(VMError) -> Image {
    do throws(ImageError) {
      return try file.commit(
        runState: vm.runState == .running ? .running : .paused, cancellation: cancellation)
    } catch {
      throw .image(error)
    }
  }

  private func migrate(
    to file: borrowing ForeignSave, direct isDirect: Bool, _ progress: Progress,
    _ cancellation: Cancellation
  ) throws(VMError) {
    let set = try DescriptorSet(file.file, for: .writing, direct: isDirect, to: connection)
    defer { set.remove() }
    try FileMigration(connection: connection).save(to: "file:\(set.path)", progress, cancellation)
  }

  /// QEMU's parameters for a mapped-ram migration at full speed.
  static func parameters(direct: Bool) -> [String: JSONValue] {
    [
      "multifd-channels": .integer(Int64(channels)), "multifd-compression": "none",
      "direct-io": .bool(direct), "max-bandwidth": 0,
    ]
  }
}
