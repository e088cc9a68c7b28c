import LinuxIO
import MappedRAMFormat
import QMP
import SystemPackage

/// What has been changed about a VM that is not ours, and so has to be undone.
///
/// Each entry is made before the act, and marked or removed after it: a process that is killed in between leaves a journal that says
/// what may have been done. `Unwind` goes by it.
struct Journal: Equatable, Sendable {
  /// The VM was paused, or may have been.
  var pause: Pause?
  /// A migration was begun, or may have been.
  var migration: Migration?
  /// QEMU protects the guest's memory for us, or may do so: a background snapshot was begun.
  var protection: Protection?
  /// QEMU may have a descriptor of this name.
  var namedDescriptor: String?
  /// QEMU may have this set of descriptors.
  var descriptorSet: UInt64?
  /// Migration settings that may have been changed.
  var settings: ChangedSettings?
  /// Whether a VM that stays in the state `postmigrate` is to have its disks all the same, as it had them before.
  var hadDisks = false
  /// Files that were made for snapshots of disks.
  var snapshots: [DiskSnapshot] = []
  /// Whether disks may write to these files by now.
  var snapshotsMayBeUsed = false

  /// The pause of a VM.
  struct Pause: Equatable, Sendable {
    /// Whether it is ours to end: the VM ran before.
    var isOurs: Bool
    /// Whether only a pause by QEMU itself, at the end of our migration, is ours: in a live save by QEMU from the start, otherwise once
    /// another client has resumed the VM that we paused. The state `paused` is another client's then.
    var isByMigration = false
    /// Whether the limit holds.
    var isBounded = true
    /// How long it may last.
    var limit: PauseLimit
  }

  /// A migration of ours.
  enum Migration: String, Sendable {
    /// It is about to be begun.
    case intended
    /// QEMU has accepted it.
    case accepted
    /// It is complete.
    case completed
  }

  /// A background snapshot of ours: pages are sent to us before they change, and a guest that writes waits until they are.
  struct Protection: Equatable, Sendable {
    /// How long the guest may have to wait.
    var limit: PauseLimit
  }

  /// Whether there is nothing to undo.
  var isEmpty: Bool {
    pause?.isOurs != true && migration == nil && protection == nil && namedDescriptor == nil
      && descriptorSet == nil && settings == nil && snapshots.isEmpty
  }

  /// How long the guest may have to wait for us, now; `nil` where it does not, or may.
  var bound: PauseLimit? {
    if let pause, pause.isOurs { return pause.isBounded ? pause.limit : nil }
    // It waits at a page, and runs on when that has been sent.
    return protection?.limit.withoutTotal
  }
}

/// How long a VM may be paused.
struct PauseLimit: Equatable, Sendable {
  /// In all.
  var total: Duration
  /// While nothing moves.
  var stalled: Duration

  /// The same for a time whose length is not known.
  var withoutTotal: PauseLimit { PauseLimit(total: Self.unlimited, stalled: stalled) }
  /// Ten years.
  static let unlimited = Duration.seconds(315_360_000)
}

/// Who the journal is about, and how to get there.
struct JournalSubject: Equatable, Sendable {
  /// The socket of QEMU's monitor.
  var socket: FilePath
  /// The process that made it, where it can be seen: another one's socket at the same path is not this VM's.
  var peer: Int32?
  /// What `-uuid` gave, if it did: after a restart of QEMU, or of what made the socket, another VM may be behind it.
  var uuid: String?

  /// Whether `connection` leads to it, as far as can be told.
  func isBehind(_ connection: QMPConnection) throws(QMPError) -> Bool {
    if let peer, try connection.peerProcessID() != peer { return false }
    if let uuid, try connection.execute(.queryUUID) != uuid { return false }
    return true
  }
}

// A watchdog reads what a program of the same version has written a moment ago: `VMWatchdog.version` counts this form.
extension Journal {
  /// The journal as a text.
  func encoded(of subject: JournalSubject) -> [UInt8] {
    var text: [UInt8] = []
    JSONValue.members([
      "socket": .string(subject.socket.string), "peer": subject.peer.map { .integer(Int64($0)) },
      "uuid": subject.uuid.map { .string($0) }, "pause": pause?.json,
      "migration": migration.map { .string($0.rawValue) }, "protection": protection?.json,
      "namedDescriptor": namedDescriptor.map { .string($0) },
      "descriptorSet": descriptorSet.map { .integer(Int64($0)) }, "settings": settings?.json,
      "hadDisks": .bool(hadDisks), "snapshotsMayBeUsed": .bool(snapshotsMayBeUsed),
      "snapshots": .array(snapshots.map(\.json)),
    ]).append(to: &text)
    return text
  }

  /// The journal that `text` is, and whom it is about; `nil` for a text that is none.
  static func decoded(_ text: [UInt8]) -> (subject: JournalSubject, journal: Journal)? {
    guard let json = try? JSONValue(parsing: text.span),
      let socket = json["socket"]?.string
    else { return nil }
    let subject = JournalSubject(
      socket: FilePath(socket), peer: json["peer"]?.number.flatMap(Int32.init(exactly:)),
      uuid: json["uuid"]?.string)
    var journal = Journal()
    journal.pause = json["pause"].flatMap(Pause.init)
    journal.migration = json["migration"]?.string.flatMap(Migration.init)
    journal.protection = json["protection"].flatMap(Protection.init)
    journal.namedDescriptor = json["namedDescriptor"]?.string
    journal.descriptorSet = json["descriptorSet"]?.unsignedInteger
    journal.settings = json["settings"].map(ChangedSettings.init)
    journal.hadDisks = json["hadDisks"]?.bool ?? false
    journal.snapshotsMayBeUsed = json["snapshotsMayBeUsed"]?.bool ?? false
    journal.snapshots = json["snapshots"]?.elements?.compactMap(DiskSnapshot.init) ?? []
    return (subject, journal)
  }
}

extension Journal.Pause {
  fileprivate var json: JSONValue {
    [
      "isOurs": .bool(isOurs), "isByMigration": .bool(isByMigration), "isBounded": .bool(isBounded),
      "limit": limit.json,
    ]
  }

  fileprivate init?(_ json: JSONValue) {
    guard let isOurs = json["isOurs"]?.bool, let isByMigration = json["isByMigration"]?.bool,
      let isBounded = json["isBounded"]?.bool, let limit = json["limit"].flatMap(PauseLimit.init)
    else { return nil }
    self.init(isOurs: isOurs, isByMigration: isByMigration, isBounded: isBounded, limit: limit)
  }
}

extension Journal.Protection {
  fileprivate var json: JSONValue { ["limit": limit.json] }

  fileprivate init?(_ json: JSONValue) {
    guard let limit = json["limit"].flatMap(PauseLimit.init) else { return nil }
    self.init(limit: limit)
  }
}

extension PauseLimit {
  fileprivate var json: JSONValue {
    [
      "total": .unsigned(total.wholeMilliseconds), "stalled": .unsigned(stalled.wholeMilliseconds),
    ]
  }

  fileprivate init?(_ json: JSONValue) {
    guard let total = json["total"]?.unsignedInteger, let stalled = json["stalled"]?.unsignedInteger
    else { return nil }
    self.init(total: .milliseconds(total), stalled: .milliseconds(stalled))
  }
}

extension ChangedSettings {
  fileprivate var json: JSONValue {
    [
      "capabilities": .object(of: capabilities.mapValues(JSONValue.bool)),
      "parameters": .object(of: parameters), "wanted": .object(of: wanted),
    ]
  }

  fileprivate init(_ json: JSONValue) {
    capabilities = json["capabilities"]?.dictionary.compactMapValues(\.bool) ?? [:]
    parameters = json["parameters"]?.dictionary ?? [:]
    wanted = json["wanted"]?.dictionary ?? [:]
  }
}

extension DiskSnapshot {
  fileprivate var json: JSONValue {
    ["node": .string(node), "file": .string(file), "newNode": .string(newNode)]
  }

  fileprivate init?(_ json: JSONValue) {
    guard let node = json["node"]?.string, let file = json["file"]?.string,
      let newNode = json["newNode"]?.string
    else { return nil }
    self.init(node: node, file: file, newNode: newNode)
  }
}

extension JSONValue {
  /// The number, if this is a whole one.
  fileprivate var number: Int64? {
    if case .integer(let value) = self { value } else { nil }
  }

  fileprivate var dictionary: [String: JSONValue] {
    guard case .object(let members) = self else { return [:] }
    return Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
  }

  fileprivate static func object(of members: [String: JSONValue]) -> JSONValue {
    .object(members.sorted { $0.key < $1.key }.map { Member(name: $0.key, value: $0.value) })
  }
}
