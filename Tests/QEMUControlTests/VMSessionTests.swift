import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// A session whose connection breaks.
@Suite struct VMSessionTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Runs `client` against a QEMU that closes the first connection at the first command, and tells its UUID on the others. Returns
  /// the other commands that it got there.
  private func reconnecting(
    _ client: (QMPConnection) throws -> Void
  ) throws -> [String] {
    let path = directory.file("qmp")
    let listener = try UnixListener(at: path)
    let thread = try PosixThread<[String], any Error>(name: "fake QEMU") {
      var commands: [String] = []
      var isFirst = true
      while let socket = try listener.accept(deadline: .now + .seconds(20)) {
        let qemu = FakeQEMU(socket)
        qemu.send(FakeQEMU.greeting)
        while let request = try qemu.request() {
          guard case .string(let name)? = request["execute"] else { break }
          if name == "bye" { return commands }
          if name == "qmp_capabilities" {
            qemu.send(FakeQEMU.success([:], to: request))
          } else if isFirst {
            break
          } else if name == "query-uuid" {
            qemu.send(FakeQEMU.success(["UUID": "1"], to: request))
          } else {
            commands.append(name)
            qemu.send(FakeQEMU.success(["status": "paused"], to: request))
          }
        }
        isFirst = false
        socket.shutdown()
      }
      return commands
    }
    let connection = try QMPConnection(connecting: path)
    let result = Result { try client(connection) }
    try connection.reconnect()
    _ = try? connection.execute("bye")
    let commands = try thread.join()
    try result.get()
    return commands
  }

  @Test func theSameVMIsAskedAgain() throws {
    let commands = try reconnecting { connection throws in
      let session = VMSession(
        connection, JournalSubject(socket: connection.path, uuid: "1"), stateBefore: .paused)
      #expect(try session.executeAgain(.queryStatus) == .paused)
    }
    #expect(commands == ["query-status"])
  }

  /// QEMU has ended, and another VM listens at the socket by now: nothing is asked of it, nor undone.
  @Test(arguments: [JournalSubject(socket: "", uuid: "2"), JournalSubject(socket: "", peer: 1)])
  func anotherVMIsLeftAlone(subject: JournalSubject) throws {
    let commands = try reconnecting { connection throws in
      let session = VMSession(connection, subject, stateBefore: .running)
      session.patience = .milliseconds(100)
      session.note {
        $0.pause = Journal.Pause(
          isOurs: true, limit: PauseLimit(total: .seconds(60), stalled: .seconds(60)))
      }
      #expect(throws: VMError.qmp(.closed(command: nil, connection.path))) {
        try session.executeAgain(.queryStatus)
      }
      let cause = VMError.image(.cancelled)
      let error = session.unwind(after: cause)
      guard case .leftPaused(cause: cause, _, isWatched: false) = error else {
        throw HarnessError("\(error)")
      }
    }
    #expect(commands == [])
  }
}
