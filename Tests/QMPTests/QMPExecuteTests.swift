import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QEMUControl
import QMP
import SystemPackage
import TestSupport
import Testing

/// Commands and answers, with a fake QEMU at the other end.
@Suite struct QMPExecuteTests {
  @Test func anAnswerIsGivenToItsCommand() throws {
    try withConnection { qemu throws in
      let request = try #require(try qemu.answer(["status": "running"]))
      #expect(request["execute"] == "query-status")
      #expect(request["arguments"] == nil)
      let second = try #require(try qemu.answer(5))
      #expect(second["arguments"] == ["path": "/machine", "n": 1])
      #expect(second["id"] != request["id"])
    } client: { connection throws in
      #expect(try connection.execute("query-status") == ["status": "running"])
      #expect(try connection.execute("qom-get", arguments: ["path": "/machine", "n": 1]) == 5)
    }
  }

  @Test func aRefusalHasQEMUsOwnClassAndText() throws {
    try withConnection { qemu throws in
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.failure("GenericError", "not now", to: request))
      try qemu.answer()
    } client: { connection throws in
      let error = thrown { _ = try connection.execute("stop") }
      #expect(
        error == .refused(command: "stop", errorClass: "GenericError", description: "not now"))
      #expect(try connection.execute("stop") == [:])
    }
  }

  @Test func whateverIsNotTheAnswerIsPassedOver() throws {
    try withConnection { qemu throws in
      try qemu.answer(
        7,
        before: #"""
          {"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}
          {"return": 1, "id": "another's"}
          {"return": 2}

          {"error": {"class": "GenericError", "desc": "JSON parse error"}}
          {"error": {"class": "GenericError", "desc": "x"}, "id": 0}

          """#,
        after: #"{"event": "RESUME", "data": {"a": 1}, "future": []}"# + "\n")
    } client: { connection throws in
      #expect(try connection.execute("any") == 7)
      let resumed = try connection.waitForEvent(["RESUME"], deadline: .now + .seconds(20))
      #expect(resumed == QMPEvent(name: "RESUME", data: ["a": 1]))
      #expect(try connection.takeEvents() == [QMPEvent(name: "STOP", microseconds: 1_000_002)])
    }
  }

  /// All are sent before the first is answered; each answer goes to its own command, also behind a refusal, and one that nobody asks for is
  /// passed over. What QEMU tells meanwhile is told apart by the answers around it.
  @Test func severalCommandsAreUnderWayAtOnce() throws {
    try withConnection { qemu throws in
      var requests: [JSONValue] = []
      for name in ["getfd", "a", "b", "c", "d"] {
        let request = try #require(try qemu.request())
        #expect(request["execute"] == .string(name))
        requests.append(request)
      }
      qemu.send(
        FakeQEMU.success(0, to: requests[0]) + #"{"event": "BEFORE"}"# + "\n"
          + FakeQEMU.failure("GenericError", "not now", to: requests[1])
          + #"{"event": "BETWEEN"}"# + "\n" + FakeQEMU.success(2, to: requests[2])
          + #"{"event": "AFTER"}"# + "\n" + FakeQEMU.success(3, to: requests[3])
          + FakeQEMU.success(4, to: requests[4]))
      try qemu.answer(5)
    } client: { connection throws in
      let name = { (name: String) in QMPCommand<JSONValue>(name) { $0.value } }
      let (first, a, b, _, d) = try connection.send(
        name("getfd"), name("a"), name("b"), name("c"), name("d"))
      #expect(try connection.answer(to: first) == JSONValue.integer(0))
      #expect(connection.takeEventsRead() == [])
      #expect(
        thrown { _ = try connection.answer(to: a) }
          == .refused(command: "a", errorClass: "GenericError", description: "not now"))
      #expect(connection.takeEventsRead().map(\.name) == ["BEFORE"])
      #expect(try connection.answer(to: b) == JSONValue.integer(2))
      #expect(connection.takeEventsRead().map(\.name) == ["BETWEEN"])
      #expect(try connection.answer(to: d) == JSONValue.integer(4))
      #expect(connection.takeEventsRead().map(\.name) == ["AFTER"])
      #expect(try connection.execute("next") == 5)
    }
  }

  /// QEMU reads byte by byte, so there is no byte too many.
  @Test func aCommandIsShort() throws {
    try converse { qemu throws in
      var bytes: [UInt8] = []
      while bytes.count(where: { $0 == 0x0A }) < 1 {
        _ = try qemu.socket.receive(into: &bytes, limit: 1, deadline: .now + .seconds(20))
      }
      #expect(
        String(decoding: bytes, as: UTF8.self) == #"{"execute":"qmp_capabilities","id":1}"# + "\n")
      qemu.send(#"{"return": {}, "id": 1}"# + "\n")
    } client: { socket throws in
      _ = try QMPConnection(
        socket: socket, name: "fake", timeout: .seconds(20), lineLimit: QMPConnection.lineLimit,
        lastID: 0)
    }
  }

  /// Of several commands each has its own time, from when its answer is waited for; the end of the conversation is that of all.
  @Test func ofSeveralCommandsSomeAreNotAnswered() throws {
    try withConnection { qemu throws in
      let first = try #require(try qemu.request())
      _ = try qemu.request()
      _ = try qemu.request()
      qemu.send(FakeQEMU.success(0, to: first))
    } client: { connection throws in
      let slow = QMPCommand<Void>("slow", timeout: .milliseconds(50))
      let (first, second, third) = try connection.send(.queryBlockJobs, slow, .stop)
      #expect(thrown { _ = try connection.answer(to: first) } != nil)
      #expect(thrown { try connection.answer(to: second) } != nil)
      #expect(thrown { try connection.answer(to: third) } == .closed(command: "stop", "fake"))
      #expect(thrown { _ = try connection.send(.stop) } == .closed(command: "stop", "fake"))
    }
  }
}

/// What QEMU may do wrong, and how long it may take.
@Suite struct QMPFailureTests {
  @Test func anAnswerThatDoesNotComeIsATimeOut() throws {
    try withConnection { qemu throws in
      let first = try #require(try qemu.request())
      let second = try #require(try qemu.request())
      // Too late: the second command gets its own answer all the same.
      qemu.send(FakeQEMU.success(1, to: first) + FakeQEMU.success(2, to: second))
      while try qemu.request() != nil {}
    } client: { connection throws in
      let start = ContinuousClock.now
      let error = thrown { _ = try connection.execute("slow", timeout: .milliseconds(50)) }
      #expect(error == .timedOut(command: "slow", "fake", after: .milliseconds(50)))
      #expect(start.duration(to: .now) >= .milliseconds(50))
      #expect(try connection.execute("next") == 2)
      connection.timeout = .milliseconds(30)
      #expect(
        thrown { _ = try connection.execute(.queryStatus) }
          == .timedOut(command: "query-status", "fake", after: .milliseconds(30)))
    }
  }

  /// A wait ends at once when it is cancelled, and nothing is sent any more; on the way back, each answer has a little time.
  @Test func aWaitThatIsCancelledEnds() throws {
    try withConnection { qemu throws in
      _ = try qemu.request()
      let second = try #require(try qemu.request())
      #expect(second["execute"] == "undo")
      qemu.send(FakeQEMU.success(2, to: second))
      _ = try qemu.request()
      while try qemu.request() != nil {}
    } client: { connection throws in
      let start = ContinuousClock.now
      connection.isCancelled = { ContinuousClock.now > start + .milliseconds(300) }
      #expect(thrown { _ = try connection.execute("never") } == .cancelled)
      #expect(thrown { _ = try connection.execute("unsent") } == .cancelled)
      connection.grace = .milliseconds(400)
      #expect(try connection.execute("undo") == 2)
      #expect(
        thrown { _ = try connection.execute("never") }
          == .timedOut(command: "never", "fake", after: .milliseconds(400)))
      #expect(ContinuousClock.now - start < .seconds(10))
    }
  }

  /// The events that another process has not read, and what it has read in part.
  @Test func eventsThatAreLeftAreFound() throws {
    let (ours, theirs) = try UnixSocket.pair(named: "fake")
    let text = #"ENT": "STOP"}"# + "\r\n" + #"{"event": "RESUME"}"# + "\r\n" + #"{"event": "ST"#
    try theirs.send(Array(text.utf8), deadline: .now + .seconds(20))
    #expect(QMPConnection.eventsLeft(in: ours).map(\.name) == ["RESUME"])
    #expect(QMPConnection.eventsLeft(in: ours) == [])
  }

  /// The answer, cut after each of its bytes, then the end: never an answer, and always the same error.
  @Test func anAnswerThatIsCutOffIsTheEndOfTheConnection() throws {
    let answer: @Sendable (JSONValue) -> String = {
      #"{"event": "STOP"}"# + "\n" + FakeQEMU.success(["a": "ä"], to: $0)
    }
    let count = answer(["id": 1_000_000_000_000]).utf8.count
    for length in 0..<count - 1 {
      try withConnection { qemu throws in
        let request = try #require(try qemu.request())
        let bytes = Array(answer(request).utf8.prefix(length))
        try qemu.socket.send(bytes, deadline: .now + .seconds(20))
      } client: { connection throws in
        let error = thrown { _ = try connection.execute("any") }
        // Ids differ in length, so the last few cuts may lie behind the answer's end.
        if error != .closed(command: "any", "fake") {
          #expect(error == nil && length > count - 14)
        }
      }
    }
  }

  @Test func aConnectionThatIsClosedStaysSo() throws {
    try withConnection { _ throws in
    } client: { connection throws in
      #expect(thrown { _ = try connection.execute("a") } == .closed(command: "a", "fake"))
      #expect(thrown { _ = try connection.execute("b") } == .closed(command: "b", "fake"))
      #expect(thrown { _ = try connection.takeEvents() } == .closed(command: nil, "fake"))
      #expect(
        thrown { _ = try connection.waitForEvent(["A"], deadline: .now + .seconds(20)) }
          == .closed(command: nil, "fake"))
      #expect(
        thrown { try connection.reconnect(timeout: .milliseconds(50)) }
          == .system(
            SystemCallError(
              call: .connect, errno: .noSuchFileOrDirectory, subject: .socket("fake"))))
    }
  }

  @Test(arguments: [
    "HMP text", "{", "[1", "\"", "{\"return\": tru}", "{\"return\":{}} x", "\u{0}",
    String(repeating: "[", count: 200),
  ])
  func aLineThatIsNoJSONIsMalformed(line: String) throws {
    try withConnection { qemu throws in
      _ = try qemu.request()
      qemu.send(line + "\n")
    } client: { connection throws in
      let error = thrown { _ = try connection.execute("any") }
      guard case .malformed("fake", .text) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test(arguments: ["{}", "[]", "5", #"{"execute": "stop"}"#, #"{"event": 5}"#])
  func aLineThatIsNoMessageIsMalformed(line: String) throws {
    try withConnection { qemu throws in
      _ = try qemu.request()
      qemu.send(line + "\n")
    } client: { connection throws in
      #expect(
        thrown { _ = try connection.execute("any") }
          == .malformed("fake", .shape(found: line)))
    }
  }

  /// At the limit, and one byte past it.
  @Test(arguments: [0, 1])
  func aLineOverTheLimitIsRefused(extra: Int) throws {
    let limit = 200_000
    let count = try converse { qemu throws in
      qemu.send(FakeQEMU.greeting)
      try qemu.answer()
      let request = try #require(try qemu.request())
      let rest = FakeQEMU.success("", to: request).utf8.count - 1
      let text = String(repeating: "x", count: limit - rest + extra)
      qemu.send(FakeQEMU.success(.string(text), to: request))
    } client: { socket throws in
      let connection = try QMPConnection(socket: socket, name: "fake", lineLimit: limit)
      do throws(QMPError) {
        return try connection.execute("any").string?.utf8.count
      } catch {
        #expect(error == .malformed("fake", .tooLong(limit: limit)))
        return nil
      }
    }
    #expect((count != nil) == (extra == 0))
  }

  /// The kernel splits what is sent as it likes, so each byte comes alone here.
  @Test func bytesThatComeOneByOneAreWhole() throws {
    try withConnection { qemu throws in
      let request = try #require(try qemu.request())
      let text = #"{"event": "A"}"# + "\r\n\r\n" + FakeQEMU.success(["x": "äö"], to: request)
      for byte in text.utf8 {
        try qemu.socket.send([byte], deadline: .now + .seconds(20))
        if byte == 0x0A { usleep(1000) }
      }
    } client: { connection throws in
      #expect(try connection.execute("any") == ["x": "äö"])
      #expect(try connection.takeEvents().map(\.name) == ["A"])
    }
  }

  /// QEMU that does not read while a command is sent: a time-out, and then nothing more can be sent.
  @Test func aCommandThatIsNotReadIsATimeOut() throws {
    let isOver = Monitor(false)
    try withConnection { _ throws in
      isOver.wait { $0 ? () : nil }
    } client: { connection throws in
      defer { isOver.withLock { $0 = true } }
      let big = JSONValue.string(String(repeating: "x", count: 1 << 22))
      let error = thrown {
        _ = try connection.execute("big", arguments: ["x": big], timeout: .milliseconds(50))
      }
      #expect(error == .timedOut(command: "big", "fake", after: .milliseconds(50)))
      #expect(thrown { _ = try connection.execute("b") } == .closed(command: "b", "fake"))
    }
  }

  /// What is held back goes out at once and in order, and nothing before the end.
  @Test func whatIsAskedInOneBreathIsSentAtTheEnd() throws {
    let (ours, theirs) = try UnixSocket.pair(named: "fake")
    let qemu = FakeQEMU(theirs)
    qemu.send(FakeQEMU.greeting + #"{"return": {}, "id": 1}"# + "\r\n")
    let connection = try QMPConnection(
      socket: ours, name: "fake", timeout: .seconds(20), lineLimit: 1 << 20, lastID: 0)
    _ = try qemu.request()
    var bytes: [UInt8] = []
    let sent = try connection.inOneBreath { () throws(QMPError) in
      let first = try connection.send(QMPCommand<Void>("a"))
      let second = try connection.send(QMPCommand<Void>("b"), QMPCommand<Void>("c"))
      let isQuiet = Result { try theirs.receive(into: &bytes, deadline: .now) == nil }
      #expect((try? isQuiet.get()) == true)
      return (first, second.0, second.1)
    }
    let lines = ["a", "b", "c"].enumerated().map {
      #"{"execute":"\#($1)","id":\#($0 + 2)}"# + "\n"
    }.joined()
    #expect(try theirs.receive(into: &bytes, deadline: .now + .seconds(20)) == lines.utf8.count)
    #expect(String(decoding: bytes, as: UTF8.self) == lines)
    for id in 2...4 { qemu.send(#"{"return": {}, "id": \#(id)}"# + "\r\n") }
    try connection.answer(to: sent.0)
    try connection.answer(to: sent.1)
    try connection.answer(to: sent.2)
  }

  /// Where what asks fails, nothing of it is sent, and what is asked later is sent as always.
  @Test func nothingIsSentOfABreathThatFails() throws {
    try withConnection { qemu throws in
      let request = try qemu.answer(7)
      #expect(request?["execute"] == "later")
    } client: { connection throws in
      let failure = QMPError.closed(command: "other", "elsewhere")
      let error = thrown {
        try connection.inOneBreath { () throws(QMPError) in
          _ = try connection.send(QMPCommand<Void>("never"))
          throw failure
        }
      }
      #expect(error == failure)
      #expect(try connection.execute("later") == 7)
    }
  }

  /// QEMU has refused the first command and ended: that is found in its answers, though the others could not be read any more.
  @Test func theEndInTheMiddleOfABreathIsFoundInTheAnswers() throws {
    try withConnection { qemu throws in
      let request = try #require(try qemu.request())
      qemu.send(FakeQEMU.failure("GenericError", "not now", to: request))
    } client: { connection throws in
      let sent = try connection.inOneBreath { () throws(QMPError) in
        try connection.send(QMPCommand<Void>("first"), QMPCommand<Void>("second"))
      }
      #expect(
        thrown { try connection.answer(to: sent.0) }
          == .refused(command: "first", errorClass: "GenericError", description: "not now"))
      #expect(thrown { try connection.answer(to: sent.1) } == .closed(command: "second", "fake"))
    }
  }
}
