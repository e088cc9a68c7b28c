import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// Our end of the watchdog: a process that takes the way back of a journal where this one ends in the middle of something, also by
/// SIGKILL, or lets a VM be paused for too long.
///
/// It is a program of its own, out of reach of this process's terminal, that has the journal in memory in common. What kills a whole
/// control group kills it as well.
final class WatchdogHandle {
  private var child: ChildProcess
  private let link: UnixSocket
  /// The journal, and words beside it.
  let note: SharedNote

  /// How long the program may take to be ready.
  private static let patience = Duration.seconds(30)

  /// Starts `program`, which is to call `VMWatchdog.run` when its only argument is `VMWatchdog.verb`.
  ///
  /// - Parameters:
  ///   - process: QEMU's, where it is known for certain.
  ///   - cancellation: ends the wait for the program.
  /// - Throws: what starting it gives, as ENOENT; EPROTO where the program is another one, or of another version, or the wait is cancelled.
  init(
    _ program: String, reading note: SharedNote, over connection: QMPConnection,
    _ process: ProcessHandle?, _ cancellation: Cancellation = Cancellation()
  ) throws(SystemCallError) {
    self.note = note
    let (ours, theirs) = try UnixSocket.pair(named: "watchdog")
    let nowhere = try PipePair.openNull()
    var options = ChildProcess.Options()
    options.standardInput = theirs.descriptor
    options.standardOutput = nowhere.rawValue
    options.standardError = nowhere.rawValue
    options.startsSession = true
    options.outlivesParent = true
    child = try ChildProcess(starting: program, [VMWatchdog.verb], options)
    link = ours
    let deadline = ContinuousClock.now + Self.patience
    do throws(SystemCallError) {
      try send(.journal, passing: note.descriptor)
      try send(.connection, passing: connection.socket.descriptor)
      if let process { try send(.process, passing: process.descriptor) }
    } catch {
      // Another program, which does not read.
      guard [.brokenPipe, .connectionReset].contains(error.errno) else { throw error }
    }
    withExtendedLifetime(theirs) {}
    var greeting: [UInt8] = []
    // This process holds the other end of the link as well, so it does not see the link end with the watchdog: the child is asked.
    while greeting.isEmpty, !cancellation.isCancelled {
      let soon = min(deadline, .now + .milliseconds(100))
      let count = try ours.receive(into: &greeting, limit: 1, deadline: soon)
      let hasEnded = try child.endIfOver() != nil
      guard count != 0, !hasEnded, .now < deadline else { break }
    }
    guard greeting == [VMWatchdog.version] else {
      throw SystemCallError(
        call: .execvp, errno: Errno.protocolError, subject: .file(FilePath(program)))
    }
  }

  /// Tells it of a new connection, which it cuts where it has to take over while this process lives.
  func use(_ socket: UnixSocket) { try? send(.connection, passing: socket.descriptor) }

  /// Gives it the image that QEMU writes, which says what the VM was doing.
  func use(image: File) { try? send(.image, passing: image.bufferedDescriptor) }

  /// Gives it the socket at which QEMU's pages come, which it closes where it has to take over.
  func use(stream: UnixSocket) { try? send(.stream, passing: stream.descriptor) }

  /// What it has done so far.
  var stage: VMWatchdog.Stage { VMWatchdog.Stage(rawValue: note[.stage]) ?? .watching }

  /// Lets it end without having done anything.
  func release() {
    // One that is gone already needs no message.
    try? send(.release)
    _ = try? child.wait(for: .seconds(10))
  }

  /// Leaves the way back to it. Whether it is there.
  func abandon() -> Bool {
    link.shutdown()
    return (try? child.endIfOver()) == .some(nil)
  }

  /// Waits until it has ended, which after a release or where it has taken over it does by itself. For tests, and for a report.
  func wait(for duration: Duration) { _ = try? child.wait(for: duration) }

  private func send(
    _ message: VMWatchdog.Message, passing descriptor: CInt? = nil
  ) throws(SystemCallError) {
    try link.send(
      [message.rawValue], passing: descriptor.map { [$0] } ?? [], deadline: .now + .seconds(10))
  }
}
