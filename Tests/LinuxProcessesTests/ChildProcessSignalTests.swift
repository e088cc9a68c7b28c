import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

/// Signals that are sent to the thread that waits: those for the whole process would end the tests.
@Suite struct ChildProcessSignalTests {
  @Test(arguments: [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])
  func signalIsPassedOnAndIsTheEnd(signal: Int32) throws {
    let waiting = try Waiting("exec sleep 60")
    try waiting.send(signal)
    let end = try waiting.end()
    guard case .killed(let number, _) = end else {
      Issue.record("\(end)")
      return
    }
    #expect(number == signal)
    #expect(end.shellStatus == 128 + signal)
  }

  @Test func childDecidesWhatASignalMeans() throws {
    let waiting = try Waiting("trap 'exit 5' TERM; echo; while :; do sleep 0.01; done")
    try waiting.send(SIGTERM)
    #expect(try waiting.end() == .exited(status: 5))
  }

  @Test func everySignalIsPassedOn() throws {
    let waiting = try Waiting(
      "n=0; trap 'n=$((n+1)); echo' HUP; trap 'exit $n' TERM; echo; while :; do sleep 0.01; done")
    for count in 2...4 {
      try waiting.send(SIGHUP)
      try waiting.waitForLines(count)
    }
    try waiting.send(SIGTERM)
    #expect(try waiting.end() == .exited(status: 3))
  }

  @Test func endWithoutASignalIsTold() throws {
    #expect(try Waiting("exit 9").end() == .exited(status: 9))
  }
}

/// A shell that runs a script, and a thread that waits for it and passes signals on.
private struct Waiting: ~Copyable {
  private let directory: TemporaryDirectory
  private let started: Monitor<pthread_t>
  private let thread: PosixThread<ChildEnd, SystemCallError>

  init(_ script: String) throws {
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("output"), [])
    let output = try File.open(directory.file("output"), access: .readWrite, directIO: .off)
    let started = Monitor<pthread_t>(0)
    let text = script.hasPrefix("exec") ? "echo; " + script : script
    thread = try PosixThread(name: "waiting") { () throws(SystemCallError) in
      var options = ChildProcess.Options()
      options.standardOutput = output.bufferedDescriptor
      var child = try ChildProcess(starting: "sh", ["-c", text], options)
      started.withLock { $0 = pthread_self() }
      return try child.waitPassingSignals()
    }
    self.directory = directory
    self.started = started
  }

  func waitForLines(_ count: Int) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try contents(directory.file("output")).count(where: { $0 == 10 }) < count {
      guard ContinuousClock.now < deadline else { throw HarnessError("the script is too slow") }
      usleep(2000)
    }
  }

  /// Sends a signal once the script has written a line.
  func send(_ signal: Int32) throws {
    try waitForLines(1)
    let thread = started.wait { $0 == 0 ? nil : $0 }
    #expect(pthread_kill(thread, signal) == 0)
  }

  consuming func end() throws -> ChildEnd { try thread.join() }
}
