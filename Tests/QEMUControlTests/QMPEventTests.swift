import Glibc
import LinuxIO
import MappedRAMFormat
import QEMUControl
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
