public import MappedRAMFormat
public import QMP

extension QMPCommand<Void> {
  /// `migrate`: begins to save to `uri` (`file:PATH`, `file:/dev/fdset/N,offset=O`, …). Errors that come
  /// at once are refusals; later ones are in `queryMigrate`.
  public static func migrate(uri: String) -> Self { Self("migrate", ["uri": .string(uri)]) }

  /// `migrate-incoming`: begins to load from `uri`, in a QEMU that was started with
  /// `-incoming defer`; better `QMPConnection.startIncoming`.
  ///
  /// QEMU ends when the load fails, unless `exitOnError` is false. `nil` leaves the argument
  /// out, as QEMU 9.0 does not know it (new in 9.1).
  public static func migrateIncoming(uri: String, exitOnError: Bool?) -> Self {
    Self(
      "migrate-incoming",
      .members(["uri": .string(uri), "exit-on-error": exitOnError.map(JSONValue.bool)]))
  }

  /// `migrate_cancel`: asks for the end of a migration; no failure where there is none.
  public static var migrateCancel: Self { Self("migrate_cancel") }

  /// `migrate-set-capabilities`: switches capabilities on and off; those not named stay. All or none.
  public static func setMigrationCapabilities(_ capabilities: [String: Bool]) -> Self {
    let states = capabilities.sorted { $0.key < $1.key }.map { name, isOn -> JSONValue in
      ["capability": .string(name), "state": .bool(isOn)]
    }
    return Self("migrate-set-capabilities", ["capabilities": .array(states)])
  }

  /// `migrate-set-parameters`: sets parameters; those not named stay. All or none.
  public static func setMigrationParameters(_ parameters: [String: JSONValue]) -> Self {
    let members = parameters.sorted { $0.key < $1.key }
      .map { JSONValue.Member(name: $0.key, value: $0.value) }
    return Self("migrate-set-parameters", .object(members))
  }

  /// `xen-save-devices-state`: writes the state of all devices that have no iterable state, of a
  /// VM that is stopped, into a new file.
  ///
  /// **QEMU 10.0.2 crashes (SIGSEGV) if the VM has a device that cannot migrate, such as `nvme` or
  /// `amd-iommu`** (tried): first make sure that `QMPConnection.captureObstacles` finds none.
  ///
  /// `live` is false: with true, QEMU gives up its disks, and a later write aborts it.
  ///
  /// - Parameter file: as QEMU sees paths; `/dev/fdset/N` as well, with a descriptor that is open for
  ///   writing alone (tried with 10.0.2).
  public static func saveDeviceState(file: String) -> Self {
    Self(
      "xen-save-devices-state", ["filename": .string(file), "live": false],
      timeout: .seconds(120))
  }
}

extension QMPCommand<MigrationInfo> {
  /// `query-migrate`: how far a migration is, and what stands against one.
  public static var queryMigrate: Self { Self("query-migrate", read: MigrationInfo.init) }
}

extension QMPCommand<[String: Bool]> {
  /// `query-migrate-capabilities`: each capability, and whether it is on.
  public static var queryMigrationCapabilities: Self {
    Self("query-migrate-capabilities") { answer throws(QMPError) in
      var capabilities: [String: Bool] = [:]
      for capability in try answer.elements() {
        capabilities[try capability.member("capability").string()] =
          try capability.member("state").bool()
      }
      return capabilities
    }
  }
}

extension QMPCommand<[String: JSONValue]> {
  /// `query-migrate-parameters`: each parameter with its value. Fit for `setMigrationParameters`: QEMU
  /// takes back all that it gave (tried with 10.0.2).
  public static var queryMigrationParameters: Self {
    Self("query-migrate-parameters") { answer throws(QMPError) in
      guard case .object(let members) = answer.value else { throw answer.unexpected("an object") }
      return Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
    }
  }
}

extension QMPConnection {
  /// Begins to load from `uri` and has QEMU stay when that fails, where it can (QEMU 9.1).
  ///
  /// Throws as `execute(_:)`.
  public func startIncoming(uri: String) throws(QMPError) {
    try execute(try incomingCommand(uri: uri))
  }

  /// The command by which that is begun.
  func incomingCommand(uri: String) throws(QMPError) -> QMPCommand<Void> {
    let canStay = try qemuVersion() >= QEMUVersion(9, 1)
    return .migrateIncoming(uri: uri, exitOnError: canStay ? false : nil)
  }
}
