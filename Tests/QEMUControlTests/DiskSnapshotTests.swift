import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// Snapshots of two disks, where QEMU or the way to it fails.
@Suite struct DiskSnapshotTests {
  private let directory: TemporaryDirectory
  private let plans: [DiskSnapshots.Plan]

  init() throws {
    let directory = try TemporaryDirectory()
    self.directory = directory
    plans = try [0, 1].map { number in
      let file = directory.file("o\(number)")
      try Subprocess.succeed(["touch", file.string])
      return DiskSnapshots.Plan(
        snapshot: DiskSnapshot(node: "n\(number)", file: file.string, newNode: "o\(number)"),
        base: "/none", format: "raw", byteCount: 512, shownFile: "/f")
    }
  }

  private var files: [Bool] { plans.map { InodeType(at: $0.file) != nil } }

  /// Runs `client` against a QEMU that greets each connection and is played by `answer`, which gives nothing where the
  /// connection is to end, and that has these concluded jobs.
  private func with(
    jobs: [String] = [],
    _ answer: @escaping @Sendable (String, JSONValue) -> String?,
    _ client: @escaping (DiskSnapshots, VMSession) throws -> Void
  ) throws {
    let listener = try UnixListener(at: directory.file("qmp"))
    let thread = try PosixThread<Void, any Error>(name: "fake QEMU") {
      while let socket = try listener.accept(deadline: .now + .seconds(20)) {
        let qemu = FakeQEMU(socket)
        qemu.send(FakeQEMU.greeting)
        while let request = try qemu.request() {
          guard case .string(let name)? = request["execute"] else { break }
          if name == "bye" { return qemu.send(FakeQEMU.success([:], to: request)) }
          if name == "qmp_capabilities" {
            qemu.send(FakeQEMU.success([:], to: request))
          } else if name == "query-jobs" {
            let found = jobs.map { id -> JSONValue in
              ["id": .string(id), "type": "create", "status": "concluded"]
            }
            qemu.send(FakeQEMU.success(.array(found), to: request))
          } else if let text = answer(name, request) {
            qemu.send(text)
          } else {
            break
          }
        }
        socket.shutdown()
      }
    }
    var failure: (any Error)?
    do {
      let connection = try QMPConnection(connecting: directory.file("qmp"))
      do {
        let session = VMSession(
          connection, JournalSubject(socket: connection.path), stateBefore: .paused)
        session.note { $0.snapshots = plans.map(\.snapshot) }
        try client(DiskSnapshots(plans), session)
      } catch {
        failure = error
      }
      // Where the connection was lost at last.
      if (try? connection.execute("bye")) == nil {
        try connection.reconnect()
        _ = try? connection.execute("bye")
      }
    }
    try thread.join()
    if let failure { throw failure }
  }

  fileprivate static func disks(_ nodes: [String]) -> JSONValue {
    .array(
      nodes.map {
        [
          "device": "",
          "inserted": ["node-name": .string($0), "file": "/f", "drv": "qcow2", "ro": false],
        ]
      })
  }

  /// The error of a save that fails in the session.
  private func failed(_ session: VMSession) -> VMError? {
    vmError { () throws(VMError) in
      throw session.unwind(after: .migrationFailed("/i.img", reason: "x"))
    }
  }

  private func vmError(_ body: () throws(VMError) -> Void) -> VMError? {
    do throws(VMError) {
      try body()
      return nil
    } catch {
      return error
    }
  }

  private func expectRemain(
    _ expected: [FilePath], in session: VMSession, location: SourceLocation = #_sourceLocation
  ) throws {
    let error = failed(session)
    guard
      case .snapshotsRemain(
        let paths, .migrationFailed("/i.img", reason: "x", _)?, _, isWatched: false)? = error
    else {
      throw HarnessError("\(String(describing: error))")
    }
    #expect(paths == expected, sourceLocation: location)
  }

  /// Between the files and the snapshots a disk may be resized, get another medium, or go: a file of the old size would cut it, and one
  /// that is based on the old medium would show what is in that.
  @Test(arguments: [
    (["n0", "n1"], 512, "/f", nil), (["n0", "n1"], 1024, "/f", "n0"), (["n0"], 512, "/f", "n1"),
    (["n0", "n1", "new"], 512, "/f", "new"), (["n0", "n1"], 512, "/g", "n0"),
  ])
  func disksThatChangeMeanwhile(
    nodes: [String], byteCount: Int64, file: String, changed: String?
  ) throws {
    try with { _, request in
      FakeQEMU.success(
        .array(
          nodes.map {
            [
              "device": "",
              "inserted": [
                "node-name": .string($0), "file": .string(file), "drv": "raw", "ro": false,
                "image": ["virtual-size": .integer(byteCount)],
              ],
            ]
          }), to: request)
    } _: { (snapshots, session) throws -> Void in
      var error: VMError?
      do throws(VMError) { try snapshots.check(session) } catch let found { error = found }
      #expect(error == changed.map { .diskChanged(node: $0) })
    }
  }

  @Test func aRefusedTransactionLeavesNoFile() throws {
    try with { _, request in
      FakeQEMU.failure("GenericError", "no", to: request)
    } _: { (snapshots, session) throws -> Void in
      #expect(vmError { () throws(VMError) in try snapshots.take(session) } != nil)
      #expect(failed(session) != nil)
      #expect(files == [false, false])
    }
  }

  /// A job that made a file and was given up is there as long as QEMU is, unless it is dismissed; another client's is left alone.
  @Test func aJobThatWasGivenUpIsForgotten() throws {
    let dismissed = Monitor([JSONValue]())
    try with(jobs: ["o1", "other"]) { name, request in
      if name == "job-dismiss", let id = request["arguments"]?["id"] {
        dismissed.withLock { $0.append(id) }
      }
      return FakeQEMU.success([:], to: request)
    } _: { (snapshots, session) throws -> Void in
      #expect(failed(session) == .migrationFailed("/i.img", reason: "x"))
      #expect(files == [false, false])
    }
    #expect(dismissed.withLock { $0 } == ["o1"])
  }

  /// Whether QEMU took them is not known, so no file goes away; then QEMU says that it did not.
  @Test func aConnectionLostAtTheTransaction() throws {
    try with { name, request in
      name == "query-block" ? FakeQEMU.success(Self.disks(["n0", "n1"]), to: request) : nil
    } _: { (snapshots, session) throws -> Void in
      let error = vmError { () throws(VMError) in try snapshots.take(session) }
      #expect(error.map { if case .qmp(.closed) = $0 { true } else { false } } == true)
      #expect(files == [true, true])
      #expect(failed(session) == .migrationFailed("/i.img", reason: "x"))
      #expect(files == [false, false])
    }
  }

  /// QEMU took them before the connection was lost: they are merged, and the files go away.
  @Test func aTransactionThatWasDoneIsUndone() throws {
    let state = FakeDisks()
    try with { name, request in
      if name == "transaction" { return nil }
      return state.answer(name, request, failing: [])
    } _: { (snapshots, session) throws -> Void in
      #expect(vmError { () throws(VMError) in try snapshots.take(session) } != nil)
      #expect(files == [true, true])
      #expect(failed(session) == .migrationFailed("/i.img", reason: "x"))
      #expect(files == [false, false])
      #expect(state.completed == ["o0", "o1"])
    }
  }

  /// The second disk's job ends as if it had succeeded, but the disk still shows the new node.
  @Test func aCommitThatFailsAtItsEndKeepsItsFileAlone() throws {
    let state = FakeDisks()
    try with { name, request in
      state.answer(name, request, failing: ["o1"])
    } _: { (snapshots, session) throws -> Void in
      session.note { $0.snapshotsMayBeUsed = true }
      try expectRemain([plans[1].file], in: session)
      #expect(files == [false, true])
    }
  }

  @Test func aCommitThatFailsKeepsItsFileAloneAndTheNextIsTried() throws {
    let state = FakeDisks()
    try with { name, request in
      state.answer(name, request, failing: ["o0"])
    } _: { (snapshots, session) throws -> Void in
      session.note { $0.snapshotsMayBeUsed = true }
      try expectRemain([plans[0].file], in: session)
      #expect(files == [true, false])
    }
  }

  @Test func whereQEMUSaysNothingAllFilesStay() throws {
    let silent: @Sendable (String, JSONValue) -> String? = { _, _ in nil }
    try with(silent) { (snapshots, session) throws -> Void in
      #expect(vmError { () throws(VMError) in try snapshots.take(session) } != nil)
      try expectRemain(plans.map(\.file), in: session)
      #expect(files == [true, true])
    }
  }
}

/// Two disks that show their overlays until a job is completed.
private final class FakeDisks: Sendable {
  private struct State {
    var nodes = ["o0", "o1"]
    var job: String?
    var completed: [String] = []
  }

  private let state = Monitor(State())

  var completed: [String] { state.withLock { $0.completed } }

  func answer(_ name: String, _ request: JSONValue, failing: [String]) -> String? {
    state.withLock { state in
      switch name {
      case "query-block":
        return FakeQEMU.success(DiskSnapshotTests.disks(state.nodes), to: request)
      case "block-commit":
        if case .string(let job)? = request["arguments"]?["job-id"] { state.job = job }
      case "query-block-jobs":
        let jobs = state.job.map { job -> [JSONValue] in
          [["device": .string(job), "type": "commit", "ready": true, "offset": 1, "len": 1]]
        }
        return FakeQEMU.success(.array(jobs ?? []), to: request)
      case "block-job-complete":
        guard let job = state.job else {
          return FakeQEMU.failure("GenericError", "no", to: request)
        }
        state.job = nil
        state.completed.append(job)
        if !failing.contains(job) {
          state.nodes = state.nodes.map { $0 == job ? "n\(job.dropFirst())" : $0 }
        }
      default: break
      }
      return FakeQEMU.success([:], to: request)
    }
  }
}
