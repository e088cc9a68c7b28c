import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

/// The begin of a conversation, at a socket with a path.
@Suite struct QMPGreetingTests {
  /// Connects to a listener that `server` plays, one connection after the other.
  func connect<Value>(
    timeout: Duration = .seconds(20), lineLimit: Int = QMPConnection.lineLimit,
    _ server: @escaping @Sendable (FakeQEMU) throws -> Void,
    client: (FilePath, () throws(QMPError) -> QMPConnection) throws -> Value
  ) throws -> Value {
    let directory = try TemporaryDirectory()
    let listener = try UnixListener(at: directory.file("qmp"), backlog: 4)
    let stop = try UnixListener(at: directory.file("stop"))
    let thread = try PosixThread<Void, any Error>(name: "fake QEMU") {
      while try stop.accept(deadline: .now) == nil {
        if let socket = try listener.accept(deadline: .now + .milliseconds(20)) {
          try server(FakeQEMU(socket))
        }
      }
    }
    let result = Result {
      try client(listener.path) { () throws(QMPError) in
        try QMPConnection(connecting: listener.path, timeout: timeout, lineLimit: lineLimit)
      }
    }
    _ = try UnixSocket.connect(to: stop.path)
    try thread.join()
    return try result.get()
  }

  @Test func theGreetingGivesTheVersion() throws {
    try connect { qemu throws in
      qemu.send(FakeQEMU.greeting)
      let request = try #require(try qemu.answer())
      #expect(request["execute"] == "qmp_capabilities" && request["arguments"] == nil)
      try qemu.answer(5)
    } client: { path, connect throws in
      let connection = try connect()
      #expect(connection.version == QEMUVersion(10, 0, 2))
      #expect(connection.version?.package == "Debian")
      #expect(connection.path == path)
      #expect(try connection.execute("any") == 5)
      try connection.reconnect()
      #expect(try connection.execute("any") == 5)
    }
  }

  @Test func whateverComesBeforeTheGreetingIsPassedOver() throws {
    try connect { qemu throws in
      qemu.send("junk\n\n{\"event\":\"A\"}\n{\"return\":{}}\n[}\n")
      qemu.send(FakeQEMU.greeting)
      try qemu.answer(before: #"{"event":"B"}"# + "\n")
    } client: { _, connect throws in
      let connection = try connect()
      #expect(connection.version == QEMUVersion(10, 0, 2))
      #expect(try connection.takeEvents().map(\.name) == ["A", "B"])
    }
  }

  @Test func nothingIsSentToWhoDoesNotGreet() throws {
    try connect(timeout: .milliseconds(50)) { qemu throws in
      #expect(try qemu.request() == nil)
    } client: { path, connect throws in
      let error = thrown { _ = try connect() }
      #expect(error == .noGreeting(path, after: .milliseconds(50)))
      #expect(error?.description.contains("another is probably connected") == true)
    }
  }

  @Test(arguments: ["QEMU 10.0.2 monitor - type 'help'\r\n(qemu) ", "login: "])
  func anotherProgramIsNamedByWhatItSays(text: String) throws {
    try connect(timeout: .milliseconds(50)) { qemu throws in
      qemu.send(text)
      #expect(try qemu.request() == nil)
    } client: { path, connect throws in
      let line = String(text.prefix { $0 != "\r\n" })
      #expect(thrown { _ = try connect() } == .notQMP(path, found: line))
    }
  }

  @Test func whoClosesAtOnceIsNoQMP() throws {
    try connect { qemu throws in
      qemu.send("HTTP/1.1 400 Bad Request\r\n\r\n")
    } client: { path, connect throws in
      #expect(thrown { _ = try connect() } == .notQMP(path, found: "HTTP/1.1 400 Bad Request"))
    }
    try connect { _ throws in
    } client: { path, connect throws in
      #expect(thrown { _ = try connect() } == .closed(command: nil, path))
    }
  }

  @Test func whoSpeaksWithoutEndIsNoQMP() throws {
    let text = String(repeating: "x", count: 100_001)
    try connect(lineLimit: 100_000) { qemu throws in
      qemu.send(text)
      #expect(try qemu.request() == nil)
    } client: { path, connect throws in
      #expect(
        thrown { _ = try connect() } == .notQMP(path, found: String(text.prefix(80))))
    }
  }

  /// The greeting, cut after each of its bytes, then the end.
  @Test func aGreetingThatIsCutOffIsNoQMP() throws {
    let greeting = FakeQEMU.greeting
    for length in 1..<greeting.utf8.count - 1 {
      try converse { qemu throws in
        qemu.send(String(greeting.prefix(length)))
      } client: { socket throws in
        let error = thrown { _ = try QMPConnection(socket: socket, name: "fake") }
        #expect(error == .closed(command: "qmp_capabilities", "fake"))
      }
    }
  }

  @Test func aSocketThatWasNegotiatedIsTakenOver() throws {
    try converse { qemu throws in
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.failure("CommandNotFound", "already complete", to: request))
      try qemu.answer(5)
      try qemu.answer([
        "qemu": ["major": 9, "minor": 1, "micro": 50], "package": "", "future": 1,
      ])
    } client: { socket throws in
      let connection = try QMPConnection(socket: socket, name: "fake")
      #expect(connection.version == nil)
      #expect(try connection.execute("any") == 5)
      // Asked for once.
      #expect(try connection.qemuVersion() == QEMUVersion(9, 1, 50))
      #expect(try connection.qemuVersion() > QEMUVersion(9, 1))
    }
  }

  /// Where the greeting comes behind the first command, it is taken note of all the same: the version is not asked for.
  @Test func aGreetingThatComesLaterTellsTheVersion() throws {
    try converse { qemu throws in
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.greeting + FakeQEMU.success([:], to: request))
    } client: { socket throws in
      let connection = try QMPConnection(socket: socket, name: "fake")
      #expect(connection.version == QEMUVersion(10, 0, 2))
      #expect(try connection.qemuVersion() == QEMUVersion(10, 0, 2))
    }
  }

  @Test func aRefusalToNegotiateIsReported() throws {
    try connect { qemu throws in
      qemu.send(FakeQEMU.greeting)
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.failure("GenericError", "no", to: request))
    } client: { _, connect throws in
      #expect(
        thrown { _ = try connect() }
          == .refused(
            command: "qmp_capabilities", errorClass: "GenericError", description: "no"))
    }
  }
}
