import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// What a watchdog reads of a save.
@Suite struct JournalTests {
  private static let subject = JournalSubject(socket: "/run/a \"b\".qmp", peer: 12, uuid: "5a")

  private static let full: Journal = {
    var journal = Journal()
    journal.pause = Journal.Pause(
      isOurs: true, isByMigration: true, isBounded: false,
      limit: PauseLimit(total: .milliseconds(1234), stalled: .seconds(30)))
    journal.migration = .accepted
    journal.protection = Journal.Protection(
      limit: PauseLimit(total: .seconds(2), stalled: .seconds(1)))
    journal.namedDescriptor = "mapped-ram-1"
    journal.descriptorSet = 1 << 30
    journal.settings = ChangedSettings(
      capabilities: ["multifd": false], parameters: ["max-bandwidth": 7, "tls-creds": "x"],
      wanted: ["max-bandwidth": 0])
    journal.hadDisks = true
    journal.snapshots = [DiskSnapshot(node: "#block1", file: "/a/b\u{1}", newNode: "n")]
    journal.snapshotsMayBeUsed = true
    return journal
  }()

  @Test(arguments: [Journal(), full])
  func itIsReadAsItWasWritten(journal: Journal) throws {
    let read = try #require(Journal.decoded(journal.encoded(of: Self.subject)))
    #expect(read.journal == journal && read.subject == Self.subject)
    let other = JournalSubject(socket: "s")
    #expect(Journal.decoded(journal.encoded(of: other))?.subject == other)
  }

  /// A watchdog of another version would misread another form: whoever changes it counts `VMWatchdog.version` up.
  @Test func itsFormIsThatOfTheVersion() {
    #expect(VMWatchdog.version == 3)
    #expect(
      String(decoding: Self.full.encoded(of: Self.subject), as: UTF8.self)
        == #"{"socket": "/run/a \"b\".qmp", "peer": 12, "uuid": "5a", "pause": {"isOurs": true, "isByMigration": true, "#
        + #""isBounded": false, "limit": {"total": 1234, "stalled": 30000}}, "migration": "accepted", "#
        + #""protection": {"limit": {"total": 2000, "stalled": 1000}}, "#
        + #""namedDescriptor": "mapped-ram-1", "descriptorSet": 1073741824, "#
        + #""settings": {"capabilities": {"multifd": false}, "parameters": {"max-bandwidth": 7, "tls-creds": "x"}, "#
        + #""wanted": {"max-bandwidth": 0}}, "hadDisks": true, "snapshotsMayBeUsed": true, "#
        + ##""snapshots": [{"node": "#block1", "file": "/a/b\u0001", "newNode": "n"}]}"##)
  }

  @Test func aTextThatIsCutIsNone() {
    let text = Self.full.encoded(of: Self.subject)
    for count in 0..<text.count {
      #expect(Journal.decoded(Array(text.prefix(count))) == nil)
    }
  }

  @Test func eachEntryKeepsItFromBeingEmpty() {
    #expect(Journal().isEmpty && !Self.full.isEmpty)
    var journal = Journal()
    journal.hadDisks = true
    journal.pause = Self.full.pause
    journal.pause?.isOurs = false
    #expect(journal.isEmpty, "a pause that is not ours is nothing to undo")
    let entries: [(inout Journal) -> Void] = [
      { $0.pause?.isOurs = true }, { $0.migration = .intended }, { $0.descriptorSet = 1 },
      { $0.protection = Self.full.protection }, { $0.namedDescriptor = "n" },
      { $0.settings = ChangedSettings() }, { $0.snapshots = Self.full.snapshots },
    ]
    for entry in entries {
      var changed = journal
      entry(&changed)
      #expect(!changed.isEmpty)
    }
  }
}

/// When a watchdog takes over.
@Suite struct OverdueTests {
  private let note: SharedNote
  private let start = ContinuousClock.now
  private static let limit = PauseLimit(total: .seconds(60), stalled: .seconds(30))

  init() throws { note = try SharedNote() }

  private func write(_ limit: PauseLimit?) throws {
    var journal = Journal()
    journal.pause = limit.map { Journal.Pause(isOurs: true, limit: $0) }
    try note.write(journal.encoded(of: JournalSubject(socket: "s")))
  }

  /// Whether it is, after so many seconds in which the work went on, or did not.
  private func isOverdue(_ overdue: inout Overdue, after seconds: Int, beats: Bool = true) -> Bool {
    if beats { note[.beat] = note[.beat] &+ 1 }
    return overdue.isSo(note, now: start + .seconds(seconds))
  }

  @Test func aPauseHasItsTimeFromItsBeginOn() throws {
    var overdue = Overdue()
    try write(nil)
    #expect(!isOverdue(&overdue, after: 0) && !isOverdue(&overdue, after: 1000))
    try write(Self.limit)
    #expect(!isOverdue(&overdue, after: 1001) && !isOverdue(&overdue, after: 1061))
    #expect(isOverdue(&overdue, after: 1062))
  }

  @Test func whatDoesNotMoveIsOverdueBefore() throws {
    var overdue = Overdue()
    try write(Self.limit)
    #expect(!isOverdue(&overdue, after: 0))
    #expect(!isOverdue(&overdue, after: 30, beats: false))
    #expect(isOverdue(&overdue, after: 31, beats: false))
  }

  /// Once the VM runs, it is only what does not move that holds the guest up.
  @Test func aProtectionHasNoEndOfItsOwn() throws {
    var overdue = Overdue()
    var journal = Journal()
    journal.protection = Journal.Protection(limit: Self.limit)
    journal.pause = Journal.Pause(isOurs: true, limit: Self.limit)
    let subject = JournalSubject(socket: "s")
    try note.write(journal.encoded(of: subject))
    #expect(!isOverdue(&overdue, after: 0) && !isOverdue(&overdue, after: 59))
    journal.pause = nil
    try note.write(journal.encoded(of: subject))
    for seconds in stride(from: 80, through: 600, by: 20) {
      #expect(!isOverdue(&overdue, after: seconds))
    }
    #expect(!isOverdue(&overdue, after: 610, beats: false))
    #expect(isOverdue(&overdue, after: 631, beats: false))
  }

  /// The rounds before it may have lasted longer than a pause may.
  @Test func aPauseByQEMUHasItsTimeFromItsBeginOn() throws {
    var overdue = Overdue()
    try write(Self.limit.withoutTotal)
    for seconds in stride(from: 0, through: 600, by: 20) {
      #expect(!isOverdue(&overdue, after: seconds))
    }
    try write(Self.limit)
    #expect(!isOverdue(&overdue, after: 601) && !isOverdue(&overdue, after: 661))
    #expect(isOverdue(&overdue, after: 662))
  }
}
