import LinuxIO
import Testing

@Suite struct MonitorTests {
  struct Planned: Error {}

  @Test func givesTheValueAndKeepsTheChange() {
    let monitor = Monitor(1)
    #expect(
      monitor.withLock {
        $0 += 1; return $0 * 10
      } == 20)
    #expect(monitor.withLock { $0 } == 2)
  }

  @Test func keepsTheChangeThatWasMadeBeforeAnError() {
    let monitor = Monitor(1)
    #expect(throws: Planned.self) {
      try monitor.withLock { (state: inout Int) throws(Planned) in
        state = 5
        throw Planned()
      }
    }
    #expect(monitor.withLock { $0 } == 5)
  }

  @Test func doesNotWaitWhereTheStateIsAsWished() {
    let monitor = Monitor(3)
    #expect(monitor.wait { $0 == 3 ? "three" : nil } == "three")
  }

  @Test func noChangeIsLostBetweenThreads() throws {
    let monitor = Monitor(0)
    let work = { @Sendable () in
      for _ in 0..<10_000 { monitor.withLock { $0 += 1 } }
    }
    let first = try PosixThread(name: "first", work)
    let second = try PosixThread(name: "second", work)
    monitor.wait { $0 == 20_000 ? () : nil }
    first.join()
    second.join()
    #expect(monitor.withLock { $0 } == 20_000)
  }

  /// Two threads take turns; each step is a change made inside `wait`, which must wake the other.
  @Test(.timeLimit(.minutes(15)))
  func aChangeMadeWhileWaitingWakesTheOthers() throws {
    let monitor = Monitor(0)
    let even = try PosixThread(name: "even") {
      for _ in 0..<2000 {
        monitor.wait { (turn: inout Int) -> Void? in
          guard turn % 2 == 0 else { return nil }
          turn += 1
          return ()
        }
      }
    }
    for _ in 0..<2000 {
      monitor.wait { (turn: inout Int) -> Void? in
        guard turn % 2 == 1 else { return nil }
        turn += 1
        return ()
      }
    }
    even.join()
    #expect(monitor.withLock { $0 } == 4000)
  }

  @Test(.timeLimit(.minutes(15)))
  func allWaitersAreWokenAlsoByAnError() throws {
    let monitor = Monitor(0)
    let first = try PosixThread(name: "first") { monitor.wait { $0 >= 1 ? 1 : nil } }
    let second = try PosixThread(name: "second") { monitor.wait { $0 >= 1 ? 2 : nil } }
    #expect(throws: Planned.self) {
      try monitor.withLock { (state: inout Int) throws(Planned) in
        state = 1
        throw Planned()
      }
    }
    #expect(first.join() + second.join() == 3)
  }

  @Test func waitingEndsWhenTheTimeIsOver() {
    let monitor = Monitor(0)
    let begin = ContinuousClock.now
    let value = monitor.wait(for: .milliseconds(30)) { $0 == 1 ? 1 : nil }
    #expect(value == nil)
    #expect(ContinuousClock.now - begin >= .milliseconds(30))
  }

  @Test(arguments: [Duration.zero, .seconds(-1)])
  func noTimeMeansOneLook(duration: Duration) {
    let monitor = Monitor(1)
    #expect(monitor.wait(for: duration) { $0 == 0 ? 1 : nil } == nil)
    #expect(monitor.wait(for: duration) { $0 == 1 ? 1 : nil } == 1)
  }

  @Test(.timeLimit(.minutes(15)), arguments: [Duration.seconds(1000), .seconds(Int64.max)])
  func aChangeEndsTheWaitBeforeItsTime(duration: Duration) throws {
    let monitor = Monitor(0)
    let other = try PosixThread(name: "other") { monitor.withLock { $0 = 1 } }
    #expect(monitor.wait(for: duration) { $0 == 1 ? 7 : nil } == 7)
    other.join()
  }

  @Test func theStateIsFreedWithTheMonitor() {
    final class Token: Sendable {}
    weak var seen: Token?
    do {
      let token = Token()
      seen = token
      let monitor = Monitor(token)
      #expect(monitor.withLock { $0 } === token)
    }
    #expect(seen == nil)
  }
}
