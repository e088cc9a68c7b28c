import Glibc
import LinuxIO
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct PosixThreadTests {
  struct Planned: Error, Equatable {
    var number: Int
  }

  @Test func givesTheValueOfItsBody() throws {
    let thread = try PosixThread(name: "value") { [UInt8](repeating: 7, count: 3) }
    #expect(thread.join() == [7, 7, 7])
  }

  @Test func throwsTheErrorOfItsBody() throws {
    let thread = try PosixThread(name: "error") { () throws(Planned) -> Int in
      throw Planned(number: 5)
    }
    #expect(outcome(thread) == .failure(Planned(number: 5)))
  }

  private func outcome(_ thread: consuming PosixThread<Int, Planned>) -> Result<Int, Planned> {
    do throws(Planned) {
      return .success(try thread.join())
    } catch {
      return .failure(error)
    }
  }

  @Test func runsOnAThreadOfItsOwn() throws {
    let first = try PosixThread(name: "first") { currentThreadID() }
    let second = try PosixThread(name: "second") { currentThreadID() }
    let ids = [first.join(), second.join(), currentThreadID()]
    #expect(Set(ids).count == 3)
  }

  @Test(arguments: [
    ("", ""), ("channel 1", "channel 1"), ("fifteen bytes..", "fifteen bytes.."),
    ("sixteen bytes...", "sixteen bytes.."),
  ])
  func hasItsName(name: String, seen: String) throws {
    let thread = try PosixThread(name: name) { () throws(Errno) -> [UInt8] in
      do {
        return try contents(FilePath("/proc/self/task/\(currentThreadID())/comm"))
      } catch {
        throw .ioError
      }
    }
    #expect(String(decoding: try thread.join(), as: UTF8.self) == seen + "\n")
  }

  /// A signal sent to the process while only the thread could take it stays pending.
  @Test func blocksSignalsButNotItsOwnFaults() throws {
    let thread = try PosixThread(name: "signals") { () -> [Int32] in
      var mask = sigset_t()
      unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
      return (1...31).filter { signal in unsafe sigismember(&mask, signal) == 0 }
    }
    // Those that cannot be blocked at all are never in a mask.
    let expected = [
      SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGSTOP, SIGSYS,
    ]
    #expect(thread.join() == expected.sorted())
  }

  @Test func theCreatorsSignalMaskStaysAsItWas() throws {
    var (before, after) = (sigset_t(), sigset_t())
    unsafe pthread_sigmask(SIG_BLOCK, nil, &before)
    try PosixThread(name: "mask") {}.join()
    unsafe pthread_sigmask(SIG_BLOCK, nil, &after)
    for signal in Int32(1)...64 {
      #expect(unsafe sigismember(&before, signal) == sigismember(&after, signal))
    }
  }

  @Test func theBodyIsFreedAfterTheJoin() throws {
    final class Token: Sendable {}
    weak var seen: Token?
    do {
      let token = Token()
      seen = token
      try PosixThread(name: "token") { _ = token }.join()
    }
    #expect(seen == nil)
  }

  @Test(.timeLimit(.minutes(15))) func oneThatIsDroppedIsWaitedForAndFreed() throws {
    final class Token: Sendable {
      let order = Monitor<[String]>([])
    }
    weak var seen: Token?
    do {
      let token = Token()
      seen = token
      _ = try PosixThread(name: "dropped") {
        usleep(20_000)
        token.order.withLock { $0.append("ended") }
      }
      token.order.withLock { $0.append("dropped") }
      #expect(token.order.withLock { $0 } == ["ended", "dropped"])
    }
    #expect(seen == nil)
  }

  /// In a child, as a user who may have no more threads.
  @Test(.enabled(if: geteuid() == 0, "needs root to become another user"))
  func aThreadAboveTheLimitIsAnError() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit(rlim_cur: 1, rlim_max: 1)
      let limited = unsafe setrlimit(__rlimit_resource_t(__RLIMIT_NPROC.rawValue), &limit)
      precondition(limited == 0 && setuid(65534) == 0)
      do throws(SystemCallError) {
        try PosixThread(name: "none") {}.join()
        preconditionFailure("A thread was started")
      } catch {
        precondition(error.call == .pthread_create)
        precondition(error.errno == .resourceTemporarilyUnavailable)
      }
    }
  }

  @Test func manyThreadsAtOnceAllGiveTheirValues() throws {
    let count = Atomic<Int>(0)
    func start(_ left: Int) throws -> Int {
      guard left > 0 else { return 0 }
      let thread = try PosixThread(name: "t\(left)") { left }
      count.add(1, ordering: .relaxed)
      return try start(left - 1) + thread.join()
    }
    #expect(try start(50) == 50 * 51 / 2)
    #expect(count.load(ordering: .relaxed) == 50)
  }
}

@Suite struct ResourceUsageTests {
  @Test func cpuTimeGrowsWithWork() {
    let before = ResourceUsage.current()
    var sum: UInt64 = 0
    let end = ContinuousClock.now + .milliseconds(60)
    while ContinuousClock.now < end { sum &+= 1 }
    let used = ResourceUsage.current().since(before)
    #expect(used.cpuTime > .zero)
    #expect(used.cpuTime == used.userTime + used.systemTime)
    #expect(sum > 0)
  }

  @Test func residentMemoryIsTheMostThatWasTouched() throws {
    let before = ResourceUsage.current().maximumResidentBytes
    #expect(before > 1 << 20 && before < 1 << 40)
    let buffer = try AlignedBuffer(byteCount: 64 << 20)
    #expect(ResourceUsage.current().maximumResidentBytes >= 64 << 20)
    #expect(buffer.byteCount == 64 << 20)
  }

  /// The child begins anew, though its parent, this process, had 200 MiB.
  @Test func residentMemoryIsNotTheParents() async throws {
    let buffer = try AlignedBuffer(byteCount: 200 << 20)
    await #expect(processExitsWith: .success) {
      precondition(ResourceUsage.current().maximumResidentBytes < 150 << 20)
    }
    #expect(buffer.byteCount == 200 << 20)
  }
}
