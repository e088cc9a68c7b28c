import MappedRAMFormat
import QMP

/// QEMU's migration capabilities and parameters as they were found, to be put back after they have been changed.
struct MigrationSettings {
  private let capabilities: [String: Bool]
  private let parameters: [String: JSONValue]
  /// What is changed, as it was before, and as it is to be.
  private(set) var changed = ChangedSettings()

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
    changed.capabilities = capabilities.filter { name, state in
      wanted.contains(name) != state && !(state && Self.kept.contains(name))
    }
    changed.parameters = parameters.filter { name, value in
      values[name].map { $0 != value || touched.contains(name) } ?? false
    }
    changed.wanted = values.filter { changed.parameters[$0.key] != nil }
  }

  /// Changes what was planned. What cannot be set leaves the settings as they were.
  ///
  /// Capabilities come first: QEMU refuses them while somebody else's migration is under way, whose parameters must not be changed.
  func apply(on connection: QMPConnection) throws(QMPError) {
    if !changed.capabilities.isEmpty {
      try connection.execute(.setMigrationCapabilities(changed.capabilities.mapValues { !$0 }))
    }
    do throws(QMPError) {
      if !changed.parameters.isEmpty {
        try connection.execute(.setMigrationParameters(changed.wanted))
      }
    } catch {
      try? restore(on: connection)
      throw error
    }
  }

  /// Sets everything that was changed back to what was found.
  func restore(on connection: QMPConnection) throws(QMPError) {
    if !changed.capabilities.isEmpty {
      try connection.execute(.setMigrationCapabilities(changed.capabilities))
    }
    if !changed.parameters.isEmpty {
      try connection.execute(.setMigrationParameters(changed.parameters))
    }
  }
}
