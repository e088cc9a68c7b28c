import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@testable import LinuxProcesses

@Suite struct ChildProcessTests {
  @Test(arguments: [0, 1, 7, 255]) func tellsTheStatus(status: Int32) throws {
    var child = try ChildProcess(starting: "sh", ["-c", "exit \(status)"])
    #expect(try child.wait() == .exited(status: status))
    #expect(try child.wait() == .exited(status: status))
    #expect(try child.endIfOver() == .exited(status: status))
  }

  @Test func tellsTheSignal() throws {
    var child = try ChildProcess(starting: "sleep", ["60"])
    #expect(try child.endIfOver() == nil)
    #expect(try child.wait(for: .milliseconds(20)) == nil)
    #expect(try child.wait(for: .seconds(-1)) == nil)
    child.waitWithoutReaping(for: .seconds(-1))
    try child.send(SIGTERM)
    let end = try #require(try child.wait(for: .seconds(20)))
    #expect(end == .killed(signal: SIGTERM, dumpedCore: false))
    #expect(end.shellStatus == 143)
    try child.send(SIGTERM)
  }

  @Test func missingProgramIsNamed() throws {
    do {
      _ = try ChildProcess(starting: "qemu-system-nowhere")
      Issue.record("started")
    } catch {
      #expect(
        error.description
          == "qemu-system-nowhere: cannot run: No such file or directory. There is no such program: "
          + "install it, or give its path.")
    }
  }

  @Test func fileThatIsNoProgramIsRefused() throws {
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("plain"), Array("text".utf8))
    #expect(throws: Self.error(.permissionDenied, directory.file("plain"))) {
      _ = try ChildProcess(starting: directory.file("plain").string)
    }
    _ = unsafe directory.file("plain").withPlatformString { unsafe chmod($0, 0o755) }
    #expect(throws: Self.error(.execFormatError, directory.file("plain"))) {
      _ = try ChildProcess(starting: directory.file("plain").string)
    }
  }

  /// Killed right after it has made the process, and before anybody watches over that.
  @Test func aParentThatIsKilledAtTheStartLeavesNoProgramBehind() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("made").string
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      _ = try ChildProcess(starting: "touch", [path]) { kill(getpid(), SIGKILL) }
    }
    // As long as touch takes many times over.
    usleep(300_000)
    #expect(try names(in: directory.path) == [])
  }

  /// All that it has started goes with it; one process watches over all.
  @Test func aParentThatIsKilledTakesItsProgramsWithIt() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("processes").string
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let first = try ChildProcess(starting: "sleep", ["600"])
      let second = try ChildProcess(starting: "sleep", ["600"])
      // A number that is used again.
      do { _ = try ChildProcess(starting: "sleep", ["600"]) }
      let third = try ChildProcess(starting: "sleep", ["600"])
      let children = [first.processID, second.processID, third.processID]
      let own = try names(in: "/proc").compactMap(Int32.init).filter { number in
        let stat = try? String(
          decoding: contents(FilePath("/proc/\(number)/stat")), as: UTF8.self)
        return stat?.contains("(mapped-ram-guar) ") == true
          && stat?.split(separator: " ")[3] == "\(getpid())"
      }
      try makeFile(
        FilePath(path),
        Array("\(own.count) \(children.map(String.init).joined(separator: " "))".utf8))
      kill(getpid(), SIGKILL)
      _ = (first.processID, second.processID, third.processID)
    }
    let text = String(decoding: try contents(FilePath(path)), as: UTF8.self)
    let numbers = text.split(separator: " ").compactMap { Int32($0) }
    try #require(numbers.count == 4)
    #expect(numbers[0] == 1)
    for number in numbers[1...3] {
      // One that is gone was waited for as well.
      if let process = try? ProcessHandle(number) {
        #expect(process.wait(for: .seconds(20)))
      }
    }
  }

  /// Somebody may have killed the guard: the next program gets another one.
  @Test func aGuardThatIsGoneIsReplaced() async throws {
    await #expect(processExitsWith: .success) {
      let first = try ChildProcess(starting: "sleep", ["600"])
      try Subprocess.succeed(["pkill", "-9", "-P", "\(getpid())", "mapped-ram-guar"])
      let second = try ChildProcess(starting: "sleep", ["600"])
      #expect(kill(first.processID, 0) == 0 && kill(second.processID, 0) == 0)
      #expect(
        try Subprocess.run(["pgrep", "-r", "R,S", "-P", "\(getpid())", "mapped-ram-guar"]).text
          .split(separator: "\n").count == 1)
    }
  }

  @Test func argumentsArriveAsTheyAre() throws {
    let run = try Output("sh", ["-c", "printf '%s|' \"$@\"", "sh", "", " a b", "*", "\n", "ä"])
    #expect(run.text == "| a b|*|\n|ä|")
  }

  @Test func onlyTheNamedDescriptorsAreInherited() throws {
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("named"), [])
    let file = try File.open(directory.file("named"), access: .read, directIO: .off)
    let other = try File.open(directory.file("named"), access: .read, directIO: .off)
    let (passed, kept) = (file.bufferedDescriptor, other.bufferedDescriptor)
    let script = "for n in \(passed) \(kept); do test -e /proc/self/fd/$n && echo $n; done"
    let run = try Output("sh", ["-c", script]) { $0.descriptors = [passed] }
    #expect(run.text == "\(passed)\n")
    // The flag is the child's alone.
    #expect(fcntl(passed, F_GETFD) == FD_CLOEXEC)
  }

  @Test func signalsAreAsAtTheBeginOfAProgram() throws {
    signal(SIGPIPE, SIG_IGN)
    var set = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGTERM)
    unsafe pthread_sigmask(SIG_BLOCK, &set, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    let run = try Output("grep", ["-E", "Sig(Blk|Ign)", "/proc/self/status"])
    let masks = run.text.split(separator: "\n").map { $0.split(separator: "\t")[1] }
    #expect(masks[0] == "0000000000000000")
    #expect(try UInt64(#require(UInt64(masks[1], radix: 16))) & (1 << (UInt64(SIGPIPE) - 1)) == 0)
  }

  @Test(arguments: [false, true]) func sessionIsItsOwnWhereWanted(isOwn: Bool) throws {
    let run = try Output("sh", ["-c", "cut -d' ' -f6 /proc/$$/stat; echo $$"]) {
      $0.startsSession = isOwn
    }
    let numbers = run.text.split(separator: "\n").map { Int32($0) }
    #expect(numbers[0] == (isOwn ? numbers[1] : getsid(0)))
  }

  @Test func droppedChildIsKilled() throws {
    let number: Int32
    do {
      let child = try ChildProcess(starting: "sleep", ["60"])
      number = child.processID
      #expect(kill(number, 0) == 0)
    }
    #expect(kill(number, 0) == -1)
  }

  @Test func childThatWasLetGoLivesOn() throws {
    let child = try ChildProcess(starting: "sleep", ["60"])
    let number = child.processID
    child.letGo()
    #expect(kill(number, 0) == 0)
    kill(number, SIGKILL)
    waitpid(number, nil, 0)
  }

  /// Other tests run at the same time and have files open, but not nearly one for each child.
  @Test func noDescriptorIsLeft() throws {
    _ = try Output("true", [])
    let before = openDescriptors()
    for _ in 0..<200 {
      var child = try ChildProcess(starting: "true")
      _ = try child.wait()
    }
    #expect(openDescriptors() < before + 100)
  }

  /// The copies of this process (the one that becomes the child, and its guard) have one thread: what another holds at that moment
  /// (a lock of the memory, of the thread sanitizer) is held there for ever.
  @Test(.timeLimit(.minutes(5))) func childrenBeginWhileThreadsBeginAndEnd() throws {
    let stop = try StopSignal()
    let busy = try PosixThread(name: "busy") {
      while !stop.isRaised {
        try PosixThread(name: "brief") { _ = [UInt8](repeating: 1, count: 4096) }.join()
      }
    }
    let ends = Result {
      try (0..<100).map { _ in
        var child = try ChildProcess(starting: "true")
        return try child.wait()
      }
    }
    stop.raise()
    try busy.join()
    #expect(try ends.get() == Array(repeating: .exited(status: 0), count: 100))
  }

  static func error(_ errno: Errno, _ path: FilePath) -> SystemCallError {
    SystemCallError(call: .execvp, errno: errno, subject: .file(path))
  }
}

/// What a program wrote to its standard output.
private struct Output {
  let text: String

  init(
    _ program: String, _ arguments: [String],
    _ change: (inout ChildProcess.Options) -> Void = { _ in }
  ) throws {
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("output"), [])
    let output = try File.open(directory.file("output"), access: .readWrite, directIO: .off)
    var options = ChildProcess.Options()
    options.standardOutput = output.bufferedDescriptor
    change(&options)
    var child = try ChildProcess(starting: program, arguments, options)
    _ = try child.wait()
    text = String(decoding: try contents(directory.file("output")), as: UTF8.self)
  }
}
