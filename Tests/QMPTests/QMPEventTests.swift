import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import QMP
import SystemPackage
import TestSupport
import Testing

@Suite struct QMPEventTests {
  static func event(_ name: String) -> String { "{\"event\":\"\(name)\"}\n" }

  @Test func theEventThatIsWaitedForIsTakenAndOthersStay() throws {
    try withConnection { qemu throws in
      qemu.send(Self.event("A") + Self.event("B") + Self.event("A"))
      try qemu.answer()
      qemu.send(Self.event("C"))
      _ = try qemu.request()
    } client: { connection throws in
      let soon = ContinuousClock.now + .seconds(20)
      #expect(try connection.waitForEvent(["B", "X"], deadline: soon)?.name == "B")
      #expect(try connection.execute("any") == [:])
      #expect(try connection.waitForEvent(["C"], deadline: soon)?.name == "C")
      #expect(try connection.waitForEvent(["B"], deadline: .now + .milliseconds(30)) == nil)
      #expect(try connection.takeEvents().map(\.name) == ["A", "A"])
      #expect(try connection.takeEvents().isEmpty)
    }
  }

  /// An event that nobody takes costs memory: only so many are kept, the latest.
  @Test func tooManyEventsPushTheOldestOut() throws {
    let count = QMPConnection.eventLimit + 3
    try withConnection { qemu throws in
      try qemu.answer(before: (0..<count).map { Self.event("E\($0)") }.joined())
    } client: { connection throws in
      #expect(try connection.execute("any") == [:])
      #expect(connection.droppedEvents == 3)
      let names = try connection.takeEvents().map(\.name)
      #expect(names == (3..<count).map { "E\($0)" })
    }
  }

  /// Few events may be long: what they have together is bounded as well.
  @Test func longEventsPushTheOldestOut() throws {
    let filling = String(repeating: "x", count: 1 << 20)
    let events = (0..<7).map { "{\"event\":\"E\($0)\",\"data\":{\"a\":\"\(filling)\"}}\n" }
    try withConnection { qemu throws in
      try qemu.answer(before: events.joined())
    } client: { connection throws in
      #expect(try connection.execute("any") == [:])
      #expect(connection.droppedEvents == 4)
      #expect(try connection.takeEvents().map(\.name) == ["E4", "E5", "E6"])
    }
  }

  /// `stop` of a signal handler or a watchdog: another thread ends the wait.
  @Test func anotherThreadCanEndTheWait() throws {
    try withConnection { qemu throws in
      _ = try qemu.request()
    } client: { connection throws in
      let socket = connection.socket
      let thread = try PosixThread<Void, Never>(name: "watchdog") {
        usleep(50_000)
        socket.shutdown()
      }
      let error = thrown {
        _ = try connection.waitForEvent(["X"], deadline: .now + .seconds(20))
      }
      #expect(error == .closed(command: nil, "fake"))
      thread.join()
    }
  }
}

/// A QEMU, or who plays one, that says more than anybody can take.
@Suite struct QMPFloodTests {
  /// Sends events without a pause until the client is gone, for twenty seconds at the most.
  @Sendable private static func flood(_ qemu: FakeQEMU) {
    let text = Array(String(repeating: QMPEventTests.event("X"), count: 1000).utf8)
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end, (try? qemu.socket.send(text, deadline: end)) != nil {}
  }

  /// What `body` throws, which is to be over before the flood is.
  private func soon(_ body: () throws -> Void) -> QMPError? {
    let start = ContinuousClock.now
    defer { #expect(start.duration(to: .now) < .seconds(15)) }
    return thrown(body)
  }

  @Test func aCommandIsATimeOutAllTheSame() throws {
    try withConnection { qemu throws in
      Self.flood(qemu)
    } client: { connection throws in
      let error = soon { _ = try connection.execute("slow", timeout: .milliseconds(100)) }
      #expect(error == .timedOut(command: "slow", "fake", after: .milliseconds(100)))
    }
  }

  @Test func eventsAreTakenAllTheSame() throws {
    try withConnection { qemu throws in
      Self.flood(qemu)
    } client: { connection throws in
      // So that there is a flood by now.
      _ = try connection.waitForEvent(["X"], deadline: .now + .seconds(15))
      var events: [QMPEvent] = []
      let taking = soon { events = try connection.takeEvents() }
      #expect(taking == nil && !events.isEmpty)
      let waiting = soon {
        let found = try connection.waitForEvent(["Y"], deadline: .now + .milliseconds(100))
        #expect(found == nil)
      }
      #expect(waiting == nil)
    }
  }

  /// A name that many have, and others that few have, before them and between them.
  @Test func eventsOfOtherNamesStay() throws {
    let names =
      ["STOP", "JOB", "JOB", "JOB", "RESUME"]
      + (0..<3000).map { $0 == 1500 ? "STOP" : $0 < 2 ? "RESUME" : "X" } + ["RESUME"]
    try withConnection { qemu throws in
      try qemu.answer(before: names.map(QMPEventTests.event).joined())
    } client: { connection throws in
      #expect(try connection.execute("any") == [:])
      #expect(connection.droppedEvents == names.count - QMPConnection.eventLimit)
      let found = try connection.takeEvents().map(\.name)
      #expect(found.count == QMPConnection.eventLimit)
      #expect(found.filter { $0 != "X" } == names.filter { $0 != "X" })
    }
  }

  /// Of the name that comes most, the first and the last stay.
  @Test func theFirstAndTheLastOfANameStay() throws {
    let events = (0..<2000).map { number in
      "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": \(number), \"microseconds\": 0}}\n"
    }
    try withConnection { qemu throws in
      try qemu.answer(before: events.joined())
    } client: { connection throws in
      #expect(try connection.execute("any") == [:])
      let found = try connection.takeEvents().map { $0.microseconds / 1_000_000 }
      #expect(found.first == 0 && found.last == 1999)
      #expect(found.count == QMPConnection.eventLimit && found == found.sorted())
    }
  }
}
