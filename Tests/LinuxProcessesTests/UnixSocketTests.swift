import Foundation
import Glibc
@testable import LinuxProcesses
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct UnixSocketTests {
  let soon = ContinuousClock.now + .seconds(20)

  /// A path of exactly `byteCount` bytes in `directory`.
  func path(_ byteCount: Int, in directory: TemporaryDirectory) throws -> FilePath {
    var path = directory.path
    while path.string.utf8.count + 52 < byteCount {
      path.append(String(repeating: "d", count: 49))
      try Subprocess.succeed(["mkdir", path.string])
    }
    path.append(String(repeating: "s", count: byteCount - path.string.utf8.count - 1))
    #expect(path.string.utf8.count == byteCount)
    return path
  }

  /// The address of a socket has room for 107 bytes; longer paths work as well.
  /// Two directories, and in each a socket of the same name, bound by a relative path: only one has a program behind it.
  @Test func whoListensByARelativePathIsSeen() throws {
    let (busy, stale) = (try TemporaryDirectory(), try TemporaryDirectory())
    let script = """
      import os, socket, sys, time
      os.chdir(sys.argv[1]); old = socket.socket(socket.AF_UNIX); old.bind("vm.qmp"); old.close()
      os.chdir(sys.argv[2]); new = socket.socket(socket.AF_UNIX); new.bind("vm.qmp"); new.listen(4)
      print("there", flush=True); time.sleep(60)
      """
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", script, stale.path.string, busy.path.string]
    process.standardOutput = output
    try process.run()
    defer {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    _ = output.fileHandleForReading.availableData
    #expect(UnixSocket.isListening(at: busy.file("vm.qmp")))
    #expect(!UnixSocket.isListening(at: stale.file("vm.qmp")))
  }

  @Test(arguments: [106, 107, 108, 109, 200, 1000])
  func pathsOfAnyLengthConnect(byteCount: Int) throws {
    let directory = try TemporaryDirectory()
    let path = try path(byteCount, in: directory)
    let listener = try UnixListener(at: path)
    let client = try UnixSocket.connect(to: path)
    let server = try #require(try listener.accept(deadline: soon))
    try client.send([1, 2, 3], deadline: soon)
    var bytes: [UInt8] = []
    #expect(try server.receive(into: &bytes, deadline: soon) == 3)
    #expect(bytes == [1, 2, 3])
    #expect(client.path == path)
    #expect(try client.peer() == server.peer())
    let peer = try client.peer()
    #expect(peer.processID == getpid() && peer.userID == getuid() && peer.groupID == getgid())
  }

  @Test func theNameGoesWithTheListener() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("socket")
    do {
      let listener = try UnixListener(at: path)
      #expect(try listener.accept(deadline: .now) == nil)
      #expect(throws: Errno.addressInUse) {
        try UnixListener(at: path)
      }
      // The failure left the name alone.
      _ = try UnixSocket.connect(to: path)
    }
    #expect(throws: Errno.noSuchFileOrDirectory) { try status(path) }
  }

  @Test func whatIsNoSocketIsCalledSo() throws {
    let directory = try TemporaryDirectory()
    let file = directory.file("file")
    try makeFile(file, [])
    for path in [file, directory.path] {
      let error = #expect(throws: SystemCallError.self) { try UnixSocket.connect(to: path) }
      #expect(error?.errno == .notSocket)
      #expect(error?.advice?.contains("-qmp unix:PATH") == true)
    }
  }

  /// Seen without a connection to it: in the listener's list nobody is waiting.
  @Test func whoListensIsSeen() throws {
    let directory = try TemporaryDirectory()
    let (path, link) = (directory.file("a socket"), directory.file("link"))
    #expect(!UnixSocket.isListening(at: path))
    do {
      let listener = try UnixListener(at: path)
      // It was bound by another name for the same place.
      #expect(UnixSocket.isListening(at: path))
      try Subprocess.succeed(["ln", "-s", path.string, link.string])
      #expect(UnixSocket.isListening(at: link))
      #expect(try listener.accept(deadline: .now) == nil)
    }
    #expect(!UnixSocket.isListening(at: path))
  }

  @Test(
    arguments: [
      ("0000000054: 00000002 00000000 00010000 0001 01 25407 /run/a b", "/run/a b"),
      ("0000000054: 00000003 00000000 00000000 0001 03 25407 /run/a", nil),
      ("0000000054: 00000002 00000000 00010000 0001 01 25407 @abstract", nil),
      ("0000000054: 00000002 00000000 00010000 0001 01 25407", nil),
      ("Num       RefCount Protocol Flags    Type St Inode Path", nil),
      ("", nil),
    ] as [(String, FilePath?)])
  func linesOfTheKernelsList(line: String, path: FilePath?) {
    #expect(UnixSocket.listenerPath(Array(line.utf8)[...]) == path)
  }

  @Test(arguments: [20, 150]) func connectingSaysWhyNot(byteCount: Int) throws {
    let directory = try TemporaryDirectory()
    let path = byteCount == 20 ? directory.file("socket") : try path(150, in: directory)
    func error() -> SystemCallError? {
      #expect(throws: SystemCallError.self) { try UnixSocket.connect(to: path) }
    }
    let missing = try #require(error())
    #expect(missing.errno == .noSuchFileOrDirectory)
    do {
      // Another name for the socket, which nobody removes.
      let first = FilePath(path.string.dropLast() + "f")
      let listener = try UnixListener(at: first)
      try Subprocess.succeed(["ln", first.string, path.string])
      withExtendedLifetime(listener) {}
    }
    // A child that another test has just forked may have it open for a moment.
    var refusal = try? UnixSocket.connect(to: path)
    while refusal != nil, ContinuousClock.now < soon { refusal = try? UnixSocket.connect(to: path) }
    #expect(error()?.errno == .connectionRefused)
    #expect(error()?.subject == .socket(path))
    #expect(error()?.description.contains("No process listens on this socket") == true)
  }

  /// With a backlog of 0 the kernel queues one connection, and the next waits.
  @Test func aFullListenerIsATimeOut() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("socket")
    let listener = try UnixListener(at: path, backlog: 0)
    let first = try UnixSocket.connect(to: path)
    let start = ContinuousClock.now
    let error = #expect(throws: SystemCallError.self) {
      try UnixSocket.connect(to: path, timeout: .milliseconds(100))
    }
    #expect(start.duration(to: .now) >= .milliseconds(90))
    #expect(error?.errno == .resourceTemporarilyUnavailable)
    #expect(error?.description.contains("another client is probably connected") == true)
    #expect(try listener.accept(deadline: soon) != nil)
    _ = try UnixSocket.connect(to: path, timeout: .seconds(10))
    withExtendedLifetime(first) {}
  }

  @Test func waitingEndsAtTheDeadline() throws {
    let (one, other) = try UnixSocket.pair()
    var bytes: [UInt8] = [9]
    let start = ContinuousClock.now
    #expect(try one.receive(into: &bytes, deadline: start + .milliseconds(50)) == nil)
    #expect(start.duration(to: .now) >= .milliseconds(50))
    #expect(bytes == [9])
    // What is there is given also when the time is over.
    try other.send([5], deadline: soon)
    #expect(try one.receive(into: &bytes, deadline: start) == 1)
    #expect(bytes == [9, 5])
  }

  @Test func aPeerThatDoesNotReadIsATimeOut() throws {
    let (one, other) = try UnixSocket.pair()
    let error = #expect(throws: SystemCallError.self) {
      try one.send([UInt8](repeating: 1, count: 1 << 22), deadline: .now + .milliseconds(50))
    }
    #expect(error?.call == .poll && error?.errno == .timedOut)
    withExtendedLifetime(other) {}
  }

  /// More than the socket holds, so both sides wait for each other many times.
  @Test func largeMessagesArriveWhole() throws {
    let (one, other) = try UnixSocket.pair()
    var generator = SeededGenerator()
    let sent = generator.bytes(1 << 20)
    let thread = try PosixThread<Void, SystemCallError>(name: "sender") {
      () throws(SystemCallError) in
      try one.send(sent, deadline: .now + .seconds(20))
      one.shutdown()
    }
    var received: [UInt8] = []
    while let count = try other.receive(into: &received, limit: 5000, deadline: soon), count > 0 {}
    try thread.join()
    #expect(received == sent)
  }

  @Test func aPeerThatIsGoneIsAnErrorAndNoSignal() throws {
    let (one, other) = try UnixSocket.pair(named: "pair")
    other.shutdown()
    other.shutdown()
    var bytes: [UInt8] = []
    #expect(try one.receive(into: &bytes, deadline: soon) == 0)
    #expect(throws: SystemCallError(call: .sendmsg, errno: .brokenPipe, subject: .socket("pair"))) {
      try one.send([1], deadline: soon)
    }
  }

  /// Each number of descriptors that one message takes.
  @Test(arguments: [1, 2, UnixSocket.descriptorLimit])
  func descriptorsArriveWithTheFirstByte(count: Int) throws {
    let (one, other) = try UnixSocket.pair()
    let directory = try TemporaryDirectory()
    try makeFile(directory.file("file"), [1, 2, 3])
    let file = try FileDescriptor.open(directory.file("file"), .readOnly)
    defer { try? file.close() }
    try one.send(
      [7, 8], passing: Array(repeating: file.rawValue, count: count), deadline: soon)
    var bytes: [UInt8] = []
    var numbers: Set<CInt> = []
    var content: [UInt8] = [0, 0, 0]
    // One byte at a time: the descriptors come with the first.
    let got = try other.receive(into: &bytes, limit: 1, deadline: soon) { descriptor in
      numbers.insert(descriptor.rawValue)
      #expect(fcntl(descriptor.rawValue, F_GETFD) == FD_CLOEXEC)
      _ = unsafe content.withUnsafeMutableBytes {
        unsafe pread(descriptor.rawValue, $0.baseAddress, 3, 0)
      }
    }
    #expect(got == 1 && numbers.count == count && !numbers.contains(file.rawValue))
    #expect(content == [1, 2, 3])
    // The receiver let them go, which closed them.
    #expect(try other.receive(into: &bytes, deadline: soon) { _ in Issue.record("again") } == 1)
    #expect(bytes == [7, 8])
  }

  @Test func descriptorsThatNobodyTakesAreDropped() async {
    await #expect(processExitsWith: .success) {
      let (one, other) = try UnixSocket.pair()
      let before = openDescriptors()
      var bytes: [UInt8] = []
      for _ in 0..<50 {
        try one.send([1], passing: [0, 0, 0], deadline: .now + .seconds(20))
        let got = try other.receive(into: &bytes, deadline: .now + .seconds(20))
        precondition(got == 1)
      }
      precondition(openDescriptors() < before + 25)
    }
  }
}
