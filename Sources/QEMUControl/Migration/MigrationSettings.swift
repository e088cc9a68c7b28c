import MappedRAMFormat

/// QEMU's migration capabilities and parameters as they were found, to be put back after they have been changed.
struct MigrationSettings {
  private let capabilities: [String: Bool]
  private let parameters: [String: JSONValue]
  /// What has been changed, as it was before.
  private var changedCapabilities: [String: Bool] = [:]
  private var changedParameters: [String: JSONValue] = [:]
  /// What those are to be.
  private var wantedParameters: [String: JSONValue] = [:]

  /// Capabilities that do not change what a migration to or from a file does, or that are the user's to decide: they stay.
  private static let kept: Set<String> = [
    "events", "validate-uuid", "dirty-bitmaps", "late-block-activate",
  ]

  /// As they were when QEMU told of `vm`.
  init(of vm: RunningVM) {
    capabilities = vm.capabilities
    parameters = vm.parameters
  }

  /// Whether this QEMU has the capability.
  func has(capability name: String) -> Bool { capabilities[name] != nil }

  /// Whether this QEMU has the parameter.
  func has(parameter name: String) -> Bool { parameters[name] != nil }

  /// Plans to switch on exactly the capabilities `names` (and to leave alone those that do not matter here), and to set those of
  /// `values` that this QEMU has. Nothing is changed yet.
  ///
  /// - Parameter touched: parameters among `values` that are changed later on, so that they have to be put back in any case.
  mutating func plan(
    capabilities names: [String], parameters values: [String: JSONValue] = [:],
    touched: Set<String> = []
  ) {
    let wanted = Set(names)
    changedCapabilities = capabilities.filter { name, state in
      wanted.contains(name) != state && !(state && Self.kept.contains(name))
    }
    changedParameters = parameters.filter { name, value in
      values[name].map { $0 != value || touched.contains(name) } ?? false
    }
    wantedParameters = values.filter { changedParameters[$0.key] != nil }
  }

  /// Changes what was planned. What cannot be set leaves the settings as they were.
  func apply(on connection: QMPConnection) throws(QMPError) {
    do throws(QMPError) {
      if !changedParameters.isEmpty {
        try connection.execute(.setMigrationParameters(wantedParameters))
      }
      if !changedCapabilities.isEmpty {
        try connection.execute(
          .setMigrationCapabilities(changedCapabilities.mapValues { !$0 }))
      }
    } catch {
      try? restore(on: connection)
      throw error
    }
  }

  /// Sets everything that was changed back to what was found.
  func restore(on connection: QMPConnection) throws(QMPError) {
    for command in restoringCommands { try connection.execute(command) }
  }

  /// The commands that set everything back.
  private var restoringCommands: [QMPCommand<Void>] {
    var commands: [QMPCommand<Void>] = []
    if !changedCapabilities.isEmpty {
      commands.append(.setMigrationCapabilities(changedCapabilities))
    }
    if !changedParameters.isEmpty {
      commands.append(.setMigrationParameters(changedParameters))
    }
    return commands
  }

  /// The steps that set everything back once a migration has come to its end. They come last, and after a while: QEMU's clean-up
  /// goes by the settings, and a watchdog cannot tell when it is done.
  var undoSteps: [UndoStep] {
    restoringCommands.enumerated().map { number, command in
      UndoStep(command, .whileRefused, delay: number == 0 ? .milliseconds(200) : .zero)
    }
  }
}
