import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LinuxProcesses

/// A program that is told something before it is killed, and what it has started.
@Suite struct ChildFarewellTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Runs a script of sh, which hears at its standard input.
  private func start(_ script: String, patience: Duration) throws -> ChildProcess {
    let (socket, theirs) = try UnixSocket.pair(named: "farewell")
    var options = ChildProcess.Options()
    options.standardInput = theirs.descriptor
    options.farewell = ChildProcess.Farewell(
      socket: socket, bytes: Array("go\n".utf8), patience: patience)
    return try ChildProcess(starting: "sh", ["-c", "cd \(directory.path); " + script], options)
  }

  private func said() throws -> String {
    try String(decoding: contents(directory.file("said")), as: UTF8.self)
  }

  @Test func programEndsByItself() throws {
    do {
      let child = try start("read word; sleep 0.2; echo $word >said", patience: .seconds(60))
      #expect(child.processID > 0)
    }
    #expect(try said() == "go\n")
  }

  @Test func programThatDoesNotHearIsKilled() throws {
    let number: Int32
    let start = ContinuousClock.now
    do {
      let child = try self.start("exec sleep 600", patience: .seconds(1))
      number = child.processID
    }
    #expect(kill(number, 0) != 0)
    #expect(ContinuousClock.now - start < .seconds(30))
  }

  /// What the program has started hears it also where the program is killed first.
  @Test func whatTheProgramHasStartedHears() throws {
    do {
      // The shell gives what runs in the background no input but by its own name.
      let child = try start(
        "exec 3<&0; (sleep 2; read word; echo $word >said) <&3 & exec sleep 600",
        patience: .seconds(1)
      )
      #expect(child.processID > 0)
    }
    try waitForWord()
  }

  @Test func programThatHasEndedMayHaveLeftSomethingThatHears() throws {
    var child = try start(
      "exec 3<&0; (read word; echo $word >said) <&3 & exit 3", patience: .seconds(60))
    #expect(try child.wait() == .exited(status: 3))
    try waitForWord()
  }

  @Test func programThatIsLetGoHearsNothing() throws {
    let number: Int32
    do {
      let child = try start("read word; echo $word >said", patience: .seconds(60))
      number = child.processID
      child.letGo()
    }
    // It reads to the end, which is that of our socket.
    waitpid(number, nil, 0)
    #expect(try said() == "\n")
  }

  /// This process is killed: what it would have done is done by the guard.
  @Test func theGuardSaysIt() async throws {
    let path = directory.path.string
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let (socket, theirs) = try UnixSocket.pair(named: "farewell")
      var options = ChildProcess.Options()
      options.standardInput = theirs.descriptor
      options.farewell = ChildProcess.Farewell(
        socket: socket, bytes: Array("go\n".utf8), patience: .seconds(1))
      let child = try ChildProcess(
        starting: "sh",
        ["-c", "exec 3<&0; cd \(path); (read word; echo $word >said) <&3 & exec sleep 600"], options
      )
      kill(getpid(), SIGKILL)
      _ = child.processID
    }
    try waitForWord()
  }

  @Test func processThatIsHeldGoesWithTheProgram() throws {
    let handle: ProcessHandle
    do {
      var child = try ChildProcess(
        starting: "sh", ["-c", "cd \(directory.path); sleep 600 & echo $! >number; wait"])
      handle = try held(by: child.processID)
      try child.hold(handle)
      #expect(!handle.hasEnded)
    }
    #expect(handle.wait(for: .seconds(20)))
  }

  @Test func processThatIsHeldIsLetGoWithTheProgram() throws {
    let handle: ProcessHandle
    let number: Int32
    do {
      var child = try ChildProcess(starting: "sh", ["-c", "sleep 600 & wait"])
      number = child.processID
      handle = try held(by: number)
      try child.hold(handle)
      child.letGo()
    }
    #expect(!handle.wait(for: .milliseconds(200)))
    try handle.signal(SIGKILL)
    waitpid(number, nil, 0)
  }

  /// Those of a shell, and of a shell behind it.
  @Test func descendantsAreFound() throws {
    let child = try ChildProcess(
      starting: "sh", ["-c", "sleep 600 & sh -c 'sleep 600 & wait' & wait"])
    let deadline = ContinuousClock.now + .seconds(20)
    var found: [Int32] = []
    while found.count < 3, .now < deadline {
      found = ProcessOwner.descendants(of: child.processID)
    }
    #expect(found.count == 3)
    #expect(Set(found).count == 3)
    #expect(ProcessOwner.descendants(of: found[2]) == [])
    for number in found { kill(number, SIGKILL) }
  }

  /// The first process that a program has started.
  private func held(by number: Int32) throws -> ProcessHandle {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
      if let first = ProcessOwner.descendants(of: number).first { return try ProcessHandle(first) }
    }
    throw HarnessError("it starts nothing")
  }

  private func waitForWord() throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try !names(in: directory.path).contains("said") || said().isEmpty,
      ContinuousClock.now < deadline
    { usleep(5000) }
    #expect(try said() == "go\n")
  }
}
