import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A process that takes the way back of a journal where this one ends in the middle of something, also by SIGKILL, or lets a VM be paused
/// for too long.
///
/// It is a program of its own, out of reach of this process's terminal, that has the journal in memory in common. What kills a whole
/// control group kills it as well.
final class Watchdog {
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
    var answer: [UInt8] = []
    // Its end of the link is this process's, too, until the value goes: an end of the process is seen by its handle.
    while answer.isEmpty, !cancellation.isCancelled {
      let soon = min(deadline, .now + .milliseconds(100))
      let count = try ours.receive(into: &answer, limit: 1, deadline: soon)
      let hasEnded = try child.endIfOver() != nil
      guard count != 0, answer.isEmpty ? !hasEnded && .now < deadline : true else { break }
    }
    guard answer == [VMWatchdog.version] else {
      throw SystemCallError(
        call: .execvp, errno: Errno.protocolError, subject: .file(FilePath(program)))
    }
  }

  /// Tells it of a new connection, which it cuts where it has to take over while this process lives.
  func use(_ socket: UnixSocket) { try? send(.connection, passing: socket.descriptor) }

  /// Gives it the image that QEMU writes, which says what the VM was doing.
  func use(image: File) { try? send(.image, passing: image.bufferedDescriptor) }

  /// What it has done so far.
  var answer: VMWatchdog.Answer {
    VMWatchdog.Answer(rawValue: note[.answer]) ?? .watching
  }

  /// Lets it end without having done anything.
  func release() {
    // One that is gone already needs no word.
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
    _ word: VMWatchdog.Word, passing descriptor: CInt? = nil
  ) throws(SystemCallError) {
    try link.send(
      [word.rawValue], passing: descriptor.map { [$0] } ?? [], deadline: .now + .seconds(10))
  }
}

/// The watchdog of saves: what a program that uses this library runs when it is started as one.
public enum VMWatchdog {
  /// The argument with which a program is started as a watchdog.
  public static let verb = "watch-vm"

  /// What it says once it is ready: the version of all that it and the process that starts it have in common, the words over the link, those in
  /// the shared note, the journal. It is counted up with each change of these, so that a program of another version is not taken for a
  /// watchdog. (Version 1 said the character "1".)
  static let version: UInt8 = 2

  /// What goes over the link, each with a descriptor but the last.
  enum Word: UInt8 {
    case journal = 0x4A
    case connection = 0x43
    case process = 0x50
    case image = 0x49
    case release = 0x52
  }

  /// What has become of the watchdog.
  enum Answer: UInt64 {
    /// It watches.
    case watching
    /// It has taken over: the VM is not this process's any more.
    case tookOver
    /// It has undone everything.
    case undone
    /// It has done what can be done, and left alone a VM that it may not resume, or that has ended.
    case leftAlone
  }

  /// Runs the watchdog whose link is the standard input, to its end.
  ///
  /// Call it first in `main`, where the program's only argument is `verb`: it closes what else is open, and blocks all signals.
  public static func run() {
    SignalSet.all.block()
    OpenFiles.closeAll(from: 3)
    nameThisThread("ram watchdog")
    let link = UnixSocket(owning: OwnedDescriptor(owning: 0), named: "watchdog")
    guard var watch = Watch(link) else { return }
    watch.run()
  }
}

/// What a watchdog knows.
private struct Watch {
  private let link: UnixSocket
  private let note: SharedNote
  /// The connection of whom it watches over.
  private var connection: UnixSocket?
  private var image: File?
  /// QEMU's process, as it was verified: a pidfd that was handed on.
  private var qemu: UnixSocket?
  private let subject: JournalSubject
  private var overdue = Overdue()

  /// How often it looks whether a pause is too long.
  private static let interval = Duration.milliseconds(50)
  /// How long it goes on trying, and between which pauses: other clients want to talk to QEMU as well.
  private static let patience = Duration.seconds(3600)
  private static let pauses = (shortest: Duration.milliseconds(50), longest: Duration.seconds(10))

  /// Waits for the journal; `nil` where none comes.
  init?(_ link: UnixSocket) {
    self.link = link
    guard case .word(.journal, let passed?)? = Self.receive(link, .seconds(30)),
      let note = try? SharedNote(opening: passed.descriptor),
      let (subject, _) = Journal.decoded(note.read())
    else { return nil }
    self.note = note
    self.subject = subject
    try? link.send([VMWatchdog.version], deadline: .now + .seconds(10))
  }

  mutating func run() {
    while true {
      switch Self.receive(link, Self.interval) {
      case nil:
        guard overdue.isSo(note) else { continue }
        return goBack()
      case .word(.release, _): return
      case .end: return goBack()
      case .word(.connection, let passed): connection = passed ?? connection
      case .word(.process, let passed?): qemu = passed
      case .word(.image, let passed?):
        image = try? File.open(
          FilePath("/proc/self/fd/\(passed.descriptor)"), access: .read, directIO: .off)
      case .word: break
      }
    }
  }

  /// What comes over the link.
  private enum Received {
    /// A word, and the descriptor that came with it, whatever it is of.
    case word(VMWatchdog.Word, UnixSocket?)
    case end
  }

  private static func receive(_ link: UnixSocket, _ duration: Duration) -> Received? {
    var bytes: [UInt8] = []
    var passed: UnixSocket?
    do throws(SystemCallError) {
      let count = try link.receive(into: &bytes, limit: 1, deadline: .now + duration) {
        passed = UnixSocket(owning: $0, named: "passed")
      }
      guard let count else { return nil }
      guard count > 0, let word = bytes.first.flatMap(VMWatchdog.Word.init) else { return .end }
      return .word(word, passed)
    } catch {
      return .end
    }
  }

  // MARK: The way back

  /// Takes the way back, again and again until it is done, or cannot be done any more.
  private func goBack() {
    note[.answer] = VMWatchdog.Answer.tookOver.rawValue
    noteResume()
    let deadline = ContinuousClock.now + Self.patience
    var pause = Self.pauses.shortest
    var last = Journal()
    while ContinuousClock.now < deadline {
      // What cannot be read was being written by two.
      let journal = Journal.decoded(note.read())?.journal ?? last
      last = journal
      guard !journal.isEmpty else {
        note[.answer] = VMWatchdog.Answer.undone.rawValue
        return
      }
      if let qemu, ProcessHandle.hasEnded(behind: qemu.descriptor) { break }
      do throws(QMPError) {
        let handsOff = try goBack(journal)
        let answer = handsOff == nil ? VMWatchdog.Answer.undone : .leftAlone
        note[.answer] = answer.rawValue
        return
      } catch {
        // Nobody is there to be told.
      }
      sleep(for: pause)
      pause = min(pause * 2, Self.pauses.longest)
    }
    note[.answer] = VMWatchdog.Answer.leftAlone.rawValue
  }

  /// Looks whether another client has resumed the VM: that its connection has not read. What pauses the VM now is not our `stop` then.
  private func noteResume() {
    guard let connection,
      QMPConnection.eventsLeft(in: connection).contains(where: { $0.name == "RESUME" }),
      var journal = Journal.decoded(note.read())?.journal
    else { return }
    journal.pause?.isByMigration = true
    // The same journal has been written before.
    try? note.write(journal.encoded(of: subject))
  }

  private func goBack(_ journal: Journal) throws(QMPError) -> Unwind.HandsOff? {
    let (note, subject, image) = (note, subject, image)
    var unwind = Unwind(
      journal, over: try connect(),
      written: {
        guard let image else { return nil }
        return try? Image(reading: image).globalState(in: image)
      },
      publish: { try? note.write($0.encoded(of: subject)) })
    return try unwind.run()
  }

  /// A connection to QEMU. One by the socket's path, where it is this VM's still: that of whom it watches over may be cut in the middle
  /// of a command.
  private func connect() throws(QMPError) -> QMPConnection {
    let timeout = Duration.seconds(10)
    let socket: UnixSocket
    do throws(SystemCallError) {
      socket = try UnixSocket.connect(to: subject.socket, timeout: timeout)
      if let peer = subject.peer, try socket.peer().processID != peer {
        throw SystemCallError(
          call: .connect, errno: .connectionRefused, subject: .socket(subject.socket))
      }
    } catch {
      guard let connection else { throw .system(error) }
      return try QMPConnection(socket: connection, name: subject.socket, timeout: timeout)
    }
    // QEMU talks to one client at a time, and that connection is open as long as anybody has it.
    connection?.shutdown()
    let found = try QMPConnection(greetedOver: socket, path: subject.socket, timeout: timeout)
    guard try subject.isBehind(found) else { throw .closed(command: nil, subject.socket) }
    return found
  }
}

/// Whether a pause is too long.
struct Overdue {
  private var version: UInt64?
  private var limit: PauseLimit?
  /// Since when this limit holds.
  private var start: ContinuousClock.Instant?
  private var beat: (count: UInt64, time: ContinuousClock.Instant)?

  mutating func isSo(_ note: SharedNote, now: ContinuousClock.Instant = .now) -> Bool {
    let version = note.version
    if version != self.version {
      self.version = version
      let pause = Journal.decoded(note.read())?.journal.pause
      let found = pause.flatMap { $0.isOurs && $0.isBounded ? $0.limit : nil }
      // While QEMU is only expected to pause the VM, which takes as long as the rounds do, there is another limit.
      if found != limit { (limit, start) = (found, nil) }
    }
    guard let limit else {
      (start, beat) = (nil, nil)
      return false
    }
    let count = note[.beat]
    if beat?.count != count { beat = (count, now) }
    let begin = start ?? now
    start = begin
    return now - begin > limit.total || now - (beat?.time ?? now) > limit.standstill
  }
}
