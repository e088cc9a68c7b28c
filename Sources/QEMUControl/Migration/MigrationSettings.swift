import MappedRAMFormat

/// QEMU's migration capabilities and parameters as they were found, to be put back after they have been changed.
struct MigrationSettings {
  private let capabilities: [(name: String, state: Bool)]
  private let parameters: JSONValue
  /// What has been changed, in the form of the commands that set it.
  private var changedCapabilities: [String] = []
  private var changedParameters: [String] = []

  /// Capabilities that do not change what a migration to or from a file does, or that are the user's to decide: they stay.
  private static let kept: Set<String> = [
    "events", "validate-uuid", "dirty-bitmaps", "late-block-activate",
  ]

  /// Asks QEMU for all of them.
  init(of connection: QMPConnection) throws(QMPError) {
    let answer = QMPAnswer(
      try connection.execute("query-migrate-capabilities"), to: "query-migrate-capabilities")
    var capabilities: [(name: String, state: Bool)] = []
    for element in try answer.elements() {
      capabilities.append(
        (try element.member("capability").string(), try element.member("state").bool()))
    }
    self.capabilities = capabilities
    parameters = try connection.execute("query-migrate-parameters")
  }

  /// Whether this QEMU has the capability.
  func has(capability name: String) -> Bool { capabilities.contains { $0.name == name } }

  /// Whether this QEMU has the parameter.
  func has(parameter name: String) -> Bool { parameters[name] != nil }

  /// Switches on exactly the capabilities `names` (and leaves alone those that do not matter here), and sets those of
  /// `values` that this QEMU has. What cannot be set leaves the settings as they were.
  mutating func set(
    capabilities names: [String], parameters values: [JSONValue.Member] = [],
    on connection: QMPConnection
  ) throws(QMPError) {
    let switched = capabilities.filter { capability in
      let wanted = names.contains(capability.name)
      return wanted != capability.state && (wanted || !Self.kept.contains(capability.name))
    }
    let known = values.filter { value in
      parameters[value.name].map { $0 != value.value } ?? false
    }
    changedParameters = known.map(\.name)
    changedCapabilities = switched.map(\.name)
    do throws(QMPError) {
      if !known.isEmpty {
        _ = try connection.execute("migrate-set-parameters", arguments: .object(known))
      }
      if !switched.isEmpty {
        _ = try connection.execute(
          "migrate-set-capabilities", arguments: Self.states(switched.map { ($0.name, !$0.state) }))
      }
    } catch {
      _ = try? restore(on: connection)
      throw error
    }
  }

  /// Sets everything that was changed back to what was found.
  func restore(on connection: QMPConnection) throws(QMPError) {
    for command in restoringCommands {
      _ = try connection.execute(command.name, arguments: command.arguments)
    }
  }

  /// The commands that set everything back.
  var restoringCommands: [(name: String, arguments: JSONValue)] {
    var commands: [(name: String, arguments: JSONValue)] = []
    let states = capabilities.filter { changedCapabilities.contains($0.name) }
    if !states.isEmpty { commands.append(("migrate-set-capabilities", Self.states(states))) }
    let values = changedParameters.compactMap { name in
      parameters[name].map { JSONValue.Member(name: name, value: $0) }
    }
    if !values.isEmpty { commands.append(("migrate-set-parameters", .object(values))) }
    return commands
  }

  private static func states(_ states: [(name: String, state: Bool)]) -> JSONValue {
    let list = states.map { capability -> JSONValue in
      ["capability": .string(capability.name), "state": .bool(capability.state)]
    }
    return ["capabilities": .array(list)]
  }
}
