import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LinuxIO

/// What a watchdog does is seen by a server in this process; the end of this process is that of the link to it.
@Suite struct WatchdogTests {
  private func step(
    _ line: String, _ repetition: Watchdog.Step.Repetition = .never
  ) -> Watchdog.Step {
    Watchdog.Step(
      line: Array((line + "\n").utf8), answer: Array("\"\(line)\"".utf8), repetition: repetition)
  }

  /// What the server got from a watchdog that was abandoned.
  private func run(
    _ script: [Watchdog.Step], patience: Duration = .seconds(20), over server: WatchdogServer
  ) throws -> [String]? {
    let watchdog = try Watchdog(
      descriptor: server.client.descriptor, script: script, patience: patience)
    watchdog.abandon()
    return server.received()
  }

  private func isThere(_ process: Int32) -> Bool { kill(process, 0) == 0 }

  @Test func aWatchdogThatIsDismissedSendsNothingAndIsReaped() throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    let process: Int32
    do {
      let watchdog = try Watchdog(descriptor: server.client.descriptor, script: [step("a")])
      process = watchdog.process
      #expect(isThere(process))
    }
    #expect(!isThere(process))
    #expect(server.received() == [])
  }

  @Test func commandsAreSentInOrderEachAfterItsAnswer() throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    let watchdog = try Watchdog(
      descriptor: server.client.descriptor, script: ["a", "b", "c", "a"].map { step($0) })
    let process = watchdog.process
    watchdog.abandon()
    #expect(!isThere(process))
    #expect(server.received() == ["a", "b", "c", "a"])
  }

  /// Before the step, and before that step alone.
  @Test func aStepWithADelayIsSentAfterIt() throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    var late = step("late")
    late.delay = .milliseconds(250)
    let start = ContinuousClock.now
    #expect(try run([step("a"), late, step("b")], over: server) == ["a", "late", "b"])
    #expect(ContinuousClock.now - start >= .milliseconds(250))
  }

  @Test func anEmptyScriptSendsNothing() throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    #expect(try run([], over: server) == [])
  }

  @Test func aRefusedCommandIsSentAgainIfItIsMarkedSo() throws {
    let server = try WatchdogServer { line, before in
      before < 3 ? .refusal(line) : .success(line)
    }
    let script = [step("once"), step("again", .whileRefused), step("last")]
    #expect(try run(script, over: server) == ["once", "again", "again", "again", "again", "last"])
  }

  /// What of the values is asked for before the next command is sent: until one has moved and the next one has not.
  @Test(arguments: [
    ([1, 1, 1, 2, 3, 3, 4], 6), ([1, 2, 2], 3), ([1, 2, 1, 1], 4), ([1, 12, 12], 3),
    ([12, 1, 1], 3),
    // It never moves, or late.
    ([7], 16), ([7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8], 17),
    // It comes and goes.
    ([nil], 16), ([nil, 1, 1], 3), ([1, nil, nil], 3),
  ])
  func aCommandIsSentAgainUntilItsValueIsSteady(values: [Int?], count: Int) throws {
    let server = try WatchdogServer { line, before in
      let value = values[min(before, values.count - 1)].map { "\"n\": \($0)" } ?? "\"m\": 0"
      let end = before.isMultiple(of: 2) ? "}" : ", \"other\": \(before)}"
      return .text("{\"n\": \(before)}\n{\"return\": {\(value)\(end), \"id\": \"\(line)\"}\n")
    }
    let script = [step("look", .untilSteady(Array("\"n\": ".utf8))), step("next")]
    #expect(
      try run(script, over: server) == Array(repeating: "look", count: count) + ["next"])
  }

  @Test func aRefusalEndsTheLooks() throws {
    let server = try WatchdogServer { line, _ in .refusal(line) }
    let script = [step("look", .untilSteady([1])), step("next")]
    #expect(try run(script, over: server) == ["look", "next"])
  }

  /// Values longer than what is kept of them, which differ in the last byte that is kept, and in the first that is not.
  @Test(arguments: [(31, 3), (32, 16)]) func longValuesAreCut(common: Int, count: Int) throws {
    let server = try WatchdogServer { line, before in
      let value = String(repeating: "9", count: common) + (before == 0 ? "1234" : "5678")
      return .text("{\"n\": \(value), \"id\": \"\(line)\"}\n")
    }
    let script = [step("look", .untilSteady(Array("\"n\": ".utf8))), step("next")]
    #expect(
      try run(script, over: server) == Array(repeating: "look", count: count) + ["next"])
  }

  @Test func aValueThatMovesAllTheTimeIsNotWaitedForForEver() throws {
    let server = try WatchdogServer { line, before in
      .text("{\"n\": \(before), \"id\": \"\(line)\"}\n")
    }
    let script = [step("look", .untilSteady(Array("\"n\": ".utf8))), step("next")]
    let lines = try #require(try run(script, patience: .milliseconds(300), over: server))
    #expect(lines.last == "next" && lines.count > 3)
  }

  /// At the end of the patience the next command has its turn.
  @Test func aCommandIsNotSentAgainForEver() throws {
    let server = try WatchdogServer { line, _ in line == "no" ? .refusal(line) : .success(line) }
    let script = [step("no", .whileRefused), step("yes", .whileRefused)]
    let start = ContinuousClock.now
    let lines = try #require(try run(script, patience: .milliseconds(300), over: server))
    #expect(ContinuousClock.now - start >= .milliseconds(300))
    #expect(lines.last == "yes")
    #expect(lines.count { $0 == "no" } > 2 && lines.count { $0 == "yes" } == 1)
  }

  /// Events, answers to commands of others with and without errors, a line without anything, bytes that are no text.
  @Test func otherLinesAreNotTakenForTheAnswer() throws {
    let server = try WatchdogServer { line, before in
      let others =
        "{\"event\": \"STOP\"}\n\n{\"id\": \"x\", \"error\": {}}\n{\"return\": {}, \"id\": 1}\r\n\0\n"
      guard case .text(let own) = WatchdogServer.Reply.success(line) else { return .nothing }
      return .text(others + own + others)
    }
    #expect(
      try run([step("a", .whileRefused), step("b", .whileRefused)], over: server) == ["a", "b"])
  }

  /// What was under way when this process ended comes first; its first part was read here.
  @Test func theRestOfALineIsSkipped() throws {
    let server = try WatchdogServer { line, _ in
      line == "mine" ? .text("{\"id\": \"mi") : .text("ne\"}\n{\"id\": \"\(line)\"}\n")
    }
    let watchdog = try Watchdog(descriptor: server.client.descriptor, script: [step("its")])
    let deadline = ContinuousClock.now + .seconds(20)
    try server.client.send(Array("mine\n".utf8), deadline: deadline)
    var part: [UInt8] = []
    _ = try server.client.receive(into: &part, limit: 3, deadline: deadline)
    watchdog.abandon()
    #expect(server.received() == ["mine", "its"])
  }

  /// The buffer has 64 KiB: shorter, as long with and without the newline, longer, and much longer.
  @Test(arguments: [65_534, 65_535, 65_536, 65_537, 131_072, 1_000_000])
  func longLinesAreSkipped(count: Int) throws {
    let server = try WatchdogServer { line, _ in
      guard case .text(let own) = WatchdogServer.Reply.success(line) else { return .nothing }
      return .text(String(repeating: "x", count: count) + "\n" + own)
    }
    #expect(try run([step("a"), step("b")], over: server) == ["a", "b"])
  }

  @Test(arguments: [1, 2, 3, 100]) func answersInSmallPiecesArePutTogether(size: Int) throws {
    let (client, peer) = try UnixSocket.pair()
    let thread = try PosixThread(name: "server") {
      var lines: [String] = []
      var buffer: [UInt8] = []
      let deadline = ContinuousClock.now + .seconds(30)
      while (try? peer.receive(into: &buffer, deadline: deadline)) ?? 0 != 0 {
        guard buffer.last == UInt8(ascii: "\n") else { continue }
        let line = String(decoding: buffer.dropLast(), as: UTF8.self)
        lines.append(line)
        buffer = []
        var rest = Array("{\"event\": 1}\n{\"id\": \"\(line)\"}\n".utf8)[...]
        while !rest.isEmpty {
          try? peer.send(Array(rest.prefix(size)), deadline: deadline)
          rest = rest.dropFirst(size)
          usleep(500)
        }
      }
      return lines
    }
    let watchdog = try Watchdog(
      descriptor: client.descriptor, script: [step("a"), step("b", .whileRefused)])
    watchdog.abandon()
    client.shutdown()
    #expect(thread.join() == ["a", "b"])
  }

  @Test func aServerThatClosesEndsIt() throws {
    let server = try WatchdogServer { line, _ in line == "a" ? .success(line) : .close }
    #expect(try run([step("a"), step("b", .whileRefused), step("c")], over: server) == ["a", "b"])
  }

  @Test func aServerThatIsGoneEndsIt() throws {
    let (client, peer) = try UnixSocket.pair()
    peer.shutdown()
    let watchdog = try Watchdog(
      descriptor: client.descriptor, script: [step("a", .whileRefused), step("b")])
    let start = ContinuousClock.now
    watchdog.abandon()
    #expect(ContinuousClock.now - start < .seconds(10))
  }

  /// The next command is sent all the same: the server may only be slow.
  @Test func aCommandThatIsNotAnsweredDoesNotKeepTheNextFromBeingSent() throws {
    let server = try WatchdogServer { line, _ in line == "c" ? .success(line) : .nothing }
    let script = [step("a", .whileRefused), step("b"), step("c")]
    #expect(try run(script, patience: .milliseconds(100), over: server) == ["a", "b", "c"])
  }

  /// The patience is for the answer, not for any line at all.
  @Test func eventsDoNotProlongThePatience() throws {
    let (client, peer) = try UnixSocket.pair()
    let thread = try PosixThread(name: "events") {
      let deadline = ContinuousClock.now + .seconds(20)
      while ContinuousClock.now < deadline,
        (try? peer.send(Array("{\"event\": 1}\n".utf8), deadline: deadline)) != nil
      {
        usleep(20_000)
      }
    }
    let watchdog = try Watchdog(
      descriptor: client.descriptor, script: [step("a")], patience: .milliseconds(200))
    let start = ContinuousClock.now
    watchdog.abandon()
    #expect(ContinuousClock.now - start < .seconds(10))
    client.shutdown()
    thread.join()
  }

  /// More than a socket takes at once, with a server that reads late; nothing is cut.
  @Test func aServerThatDoesNotReadGetsAllOnceItDoes() throws {
    let (client, peer) = try UnixSocket.pair()
    // Set here, and so for the watchdog, which shares the description: it waits all the same.
    _ = fcntl(client.descriptor, F_SETFL, fcntl(client.descriptor, F_GETFL) | O_NONBLOCK)
    let line = String(repeating: "x", count: 1 << 20)
    let thread = try PosixThread(name: "late") {
      usleep(300_000)
      var buffer: [UInt8] = []
      let deadline = ContinuousClock.now + .seconds(30)
      while buffer.count <= line.utf8.count,
        (try? peer.receive(into: &buffer, deadline: deadline)) ?? 0 != 0
      {}
      try? peer.send(Array("{\"id\": 1}\n".utf8), deadline: deadline)
      return buffer
    }
    let long = Watchdog.Step(line: Array((line + "\n").utf8), answer: Array("\"id\": 1".utf8))
    try Watchdog(descriptor: client.descriptor, script: [long]).abandon()
    #expect(thread.join() == Array((line + "\n").utf8))
  }

  /// A command of which only a part could be sent is the last one: another would be taken for its rest.
  @Test func nothingFollowsACommandThatWasCut() throws {
    let (client, peer) = try UnixSocket.pair()
    let long = Watchdog.Step(
      line: [UInt8](repeating: UInt8(ascii: "x"), count: 4 << 20), answer: [1],
      repetition: .whileRefused)
    try Watchdog(
      descriptor: client.descriptor, script: [long, step("b")], patience: .milliseconds(200)
    ).abandon()
    client.shutdown()
    var buffer: [UInt8] = []
    let deadline = ContinuousClock.now + .seconds(30)
    while try peer.receive(into: &buffer, deadline: deadline) ?? 0 != 0 {}
    #expect(buffer.count > 0 && buffer.count < 4 << 20)
    #expect(buffer.allSatisfy { $0 == UInt8(ascii: "x") })
  }

  /// 64 KiB of script, in one step and in many; a mark of the greatest length.
  @Test(arguments: [1, 2, 1000]) func aLongScriptIsSentWhole(count: Int) throws {
    let server = try WatchdogServer { line, _ in
      .success(String(line.prefix { $0.isNumber }))
    }
    let pad = String(repeating: "p", count: (64 << 10) / count - 7)
    let script = (0..<count).map { number in
      Watchdog.Step(
        line: Array("\(number)\(pad)\n".utf8), answer: Array("\"\(number)\"".utf8))
    }
    #expect(try run(script, over: server) == (0..<count).map { "\($0)\(pad)" })
  }

  @Test func theLongestMarkIsFoundAndAnEmptyOneIsTheNextLine() throws {
    let mark = String(repeating: "m", count: Int(UInt16.max))
    let server = try WatchdogServer { line, _ in
      line == "a" ? .text("no\n\(mark)\n") : .text("\n")
    }
    let script = [
      Watchdog.Step(line: Array("a\n".utf8), answer: Array(mark.utf8)),
      Watchdog.Step(line: Array("b\n".utf8), answer: []),
      Watchdog.Step(line: Array("c\n".utf8), answer: [], repetition: .whileRefused),
    ]
    #expect(try run(script, over: server) == ["a", "b", "c"])
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM])
  func signalsDoNotEndIt(signal: Int32) throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    let watchdog = try Watchdog(descriptor: server.client.descriptor, script: [step("a")])
    #expect(kill(watchdog.process, signal) == 0)
    watchdog.abandon()
    #expect(server.received() == ["a"])
  }

  @Test func itIsOutOfReachOfTheTerminalAndHoldsNothingButItsTwoDescriptors() throws {
    let (client, _) = try UnixSocket.pair()
    let watchdog = try Watchdog(descriptor: client.descriptor, script: [step("a")])
    // It closes the rest after it has begun.
    let directory = FilePath("/proc/\(watchdog.process)/fd")
    let deadline = ContinuousClock.now + .seconds(20)
    while try names(in: directory).count > 2, ContinuousClock.now < deadline { usleep(1000) }
    #expect(try names(in: directory).count == 2)
    #expect(getsid(watchdog.process) == watchdog.process)
    #expect(
      try contents(FilePath("/proc/\(watchdog.process)/comm")) == Array("ram watchdog\n".utf8))
  }

  /// All that this process had of the socket is closed, as it is when it ends.
  @Test func itKeepsTheSocketOpen() throws {
    var ends: [CInt] = [-1, -1]
    let result = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
    try #require(result == 0)
    let peer = UnixSocket(owning: OwnedDescriptor(owning: ends[1]), named: "peer")
    let watchdog = try Watchdog(descriptor: ends[0], script: [step("a"), step("b")])
    close(ends[0])
    let thread = try PosixThread(name: "server") {
      var all: [UInt8] = []
      let deadline = ContinuousClock.now + .seconds(30)
      for id in ["a", "b"] {
        _ = try? peer.receive(into: &all, deadline: deadline)
        try? peer.send(Array("\"\(id)\"\n".utf8), deadline: deadline)
      }
      return String(decoding: all, as: UTF8.self)
    }
    watchdog.abandon()
    #expect(thread.join() == "a\nb\n")
  }

  /// Its end, here by SIGKILL, is no harm to this process: a write to a pipe would be.
  @Test func aWatchdogThatWasKilledIsDismissedAllTheSame() throws {
    let server = try WatchdogServer { line, _ in .success(line) }
    let process: Int32
    do {
      let watchdog = try Watchdog(descriptor: server.client.descriptor, script: [step("a")])
      process = watchdog.process
      #expect(kill(process, SIGKILL) == 0)
      var found = unsafe siginfo_t()
      // Waits for its end, and leaves it for the owner to reap.
      let result = unsafe waitid(P_PID, id_t(process), &found, WEXITED | WNOWAIT)
      #expect(result == 0)
    }
    #expect(!isThere(process))
    #expect(server.received() == [])
  }

  /// Several at a time do not keep each other's links open.
  @Test func severalDoNotDisturbEachOther() throws {
    let servers = try (0..<3).map { _ in try WatchdogServer { line, _ in .success(line) } }
    let first = try Watchdog(descriptor: servers[0].client.descriptor, script: [step("a")])
    let second = try Watchdog(descriptor: servers[1].client.descriptor, script: [step("b")])
    let third = try Watchdog(descriptor: servers[2].client.descriptor, script: [step("c")])
    first.abandon()
    #expect(servers[0].received() == ["a"])
    third.abandon()
    #expect(servers[2].received() == ["c"])
    _ = consume second
    #expect(servers[1].received() == [])
  }

  @Test func aSocketThatIsNotOpenEndsIt() throws {
    try Watchdog(descriptor: 1_000_000, script: [step("a"), step("b")]).abandon()
  }
}
