import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// What each command sends, and what it makes of answers.
@Suite struct QMPCommandTests {
  @Test(arguments: [
    (QMPCommand.stop, "stop", "{}"), (.cont, "cont", "{}"),
    (.migrateCancel, "migrate_cancel", "{}"),
    (.migrate(uri: "file:/a"), "migrate", #"{"uri": "file:/a"}"#),
    (
      .migrateIncoming(uri: "file:/a", exitOnError: nil), "migrate-incoming",
      #"{"uri": "file:/a"}"#
    ),
    (
      .migrateIncoming(uri: "file:/a", exitOnError: false), "migrate-incoming",
      #"{"uri": "file:/a", "exit-on-error": false}"#
    ),
    (
      .setMigrationCapabilities(["multifd": true, "events": false]), "migrate-set-capabilities",
      #"{"capabilities": [{"capability": "events", "state": false}, {"capability": "multifd", "state": true}]}"#
    ),
    (
      .setMigrationParameters(["multifd-channels": 2, "direct-io": true]),
      "migrate-set-parameters", #"{"direct-io": true, "multifd-channels": 2}"#
    ),
    (
      .saveDeviceState(file: "/a"), "xen-save-devices-state", #"{"filename": "/a", "live": false}"#
    ),
    (
      .snapshot([DiskSnapshot(node: "n", file: "/f", newNode: "o")]), "transaction",
      #"{"actions": [{"type": "blockdev-snapshot-sync", "data": {"node-name": "n", "snapshot-file": "/f", "snapshot-node-name": "o", "format": "qcow2", "mode": "existing"}}]}"#
    ),
    (
      .createFile("/f", job: "j"), "blockdev-create",
      #"{"job-id": "j", "options": {"driver": "file", "filename": "/f", "size": 0}}"#
    ),
    (
      .createOverlay("/f", of: "/b", format: "raw", byteCount: 512, job: "j"), "blockdev-create",
      #"{"job-id": "j", "options": {"driver": "qcow2", "file": {"driver": "file", "filename": "/f"}, "size": 512, "backing-file": "/b", "backing-fmt": "raw"}}"#
    ),
    (.dismiss(job: "j"), "job-dismiss", #"{"id": "j"}"#),
    (
      .blockCommit(job: "j", device: "d", baseNode: nil), "block-commit",
      #"{"job-id": "j", "device": "d"}"#
    ),
    (.blockJobComplete("j"), "block-job-complete", #"{"device": "j"}"#),
    (.blockdevSetActive(true), "blockdev-set-active", #"{"active": true}"#),
    (
      .blockdevSetActive(false, node: "n"), "blockdev-set-active",
      #"{"active": false, "node-name": "n"}"#
    ),
    (.removeDescriptor(set: 3), "remove-fd", #"{"fdset-id": 3}"#),
    (.removeDescriptor(set: 3, number: 7), "remove-fd", #"{"fdset-id": 3, "fd": 7}"#),
    (.closeDescriptor(named: "x"), "closefd", #"{"fdname": "x"}"#),
  ])
  func commandsSendWhatQEMUDocuments(command: QMPCommand<Void>, name: String, arguments: String) {
    #expect(command.name == name)
    #expect(command.arguments.text == arguments)
    #expect(command.descriptors.isEmpty)
  }

  @Test func descriptorsTravelWithTheirCommands() {
    let get = QMPCommand.getDescriptor(5, named: "x")
    #expect(get.descriptors == [5] && get.arguments == ["fdname": "x"])
    let add = QMPCommand.addDescriptor(6, to: 1, note: "n")
    #expect(add.descriptors == [6] && add.arguments == ["fdset-id": 1, "opaque": "n"])
    #expect(QMPCommand.addDescriptor(6).arguments == [:])
  }

  /// What `command` makes of `answer`, from a fake QEMU.
  func read<Answer>(_ command: QMPCommand<Answer>, _ answer: JSONValue) throws -> Answer {
    try withConnection { qemu throws in
      try qemu.answer(answer)
    } client: { connection throws in
      try connection.execute(command)
    }
  }

  /// Where the answer is wrong.
  func wrongPlace<Answer>(_ command: QMPCommand<Answer>, _ answer: JSONValue) throws -> String? {
    let error = thrown { _ = try read(command, answer) }
    guard case .unexpectedAnswer(_, let place, _) = error else { return nil }
    return place
  }

  @Test func aMigrationsStateIsRead() throws {
    let info = try read(
      .queryMigrate,
      [
        "status": "active", "total-time": 5, "future": [],
        "ram": ["transferred": 1, "remaining": 2, "total": 3, "normal": 4, "duplicate": 5],
      ])
    #expect(info.isUnderWay && info.totalMilliseconds == 5 && info.errorDescription == nil)
    #expect(
      info.ram
        == .init(transferred: 1, remaining: 2, total: 3, normalPages: 4, zeroPages: 5))
    #expect(info.blockedReasons.isEmpty)
    let failed = try read(
      .queryMigrate, ["status": "failed", "error-desc": "x", "blocked-reasons": ["a", "b"]])
    #expect(!failed.isUnderWay && failed.errorDescription == "x")
    #expect(failed.blockedReasons == ["a", "b"])
    #expect(try !read(.queryMigrate, [:]).isUnderWay)
    // A state that is not known is one under way.
    #expect(try read(.queryMigrate, ["status": "beaming"]).isUnderWay)
  }

  @Test func answersOfAnotherFormAreNamedByPlace() throws {
    #expect(try wrongPlace(.queryStatus, [:]) == "return.status")
    #expect(try wrongPlace(.queryStatus, ["status": 5]) == "return.status")
    #expect(try wrongPlace(.queryVersion, []) == "return")
    #expect(try wrongPlace(.queryProcessors, [["thread-id": 1], [:]]) == "return[1].thread-id")
    #expect(
      try wrongPlace(.queryProcessors, [["thread-id": 0x1_0000_0000]]) == "return[0].thread-id")
    #expect(try wrongPlace(.queryBlock, [["inserted": [:]]]) == "return[0].inserted.file")
    #expect(try wrongPlace(.queryMigrate, ["ram": ["transferred": -1]]) == "return.ram.transferred")
    #expect(try wrongPlace(.queryMigrate, ["blocked-reasons": "x"]) == "return.blocked-reasons")
    #expect(try wrongPlace(.queryMigrationParameters, 5) == "return")
    #expect(
      try wrongPlace(.queryMigrationCapabilities, [["capability": "x"]]) == "return[0].state")
    #expect(try wrongPlace(.addDescriptor(0), ["fdset-id": 1]) == "return.fd")
    #expect(try wrongPlace(.qomList("/"), [["name": "x"]]) == "return[0].type")
    #expect(try wrongPlace(.queryMemoryDevices, [["type": "dimm"]]) == "return[0].data")
  }

  @Test func loadingTellsQEMUToStayWhereItCan() throws {
    for (minor, arguments) in [
      (0, #"{"uri": "u"}"#), (1, #"{"uri": "u", "exit-on-error": false}"#),
    ] {
      try converse { qemu throws in
        try qemu.answer()
        try qemu.answer(["qemu": ["major": 9, "minor": .integer(Int64(minor)), "micro": 0]])
        #expect(try qemu.answer()?["arguments"]?.text == arguments)
      } client: { socket throws in
        try QMPConnection(socket: socket, name: "fake").startIncoming(uri: "u")
      }
    }
  }

  /// QEMU may answer `quit`, or be gone before.
  @Test(arguments: [true, false]) func quittingSucceedsEitherWay(answers: Bool) throws {
    try withConnection { qemu throws in
      if answers { try qemu.answer() } else { _ = try qemu.request() }
    } client: { connection throws in
      try connection.quit()
      #expect(thrown { try connection.quit() } == nil)
    }
  }
}
