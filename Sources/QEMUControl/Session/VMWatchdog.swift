import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// The watchdog of saves: what a program that uses this library runs when it is started as one.
public enum VMWatchdog {
  /// The argument with which a program is started as a watchdog.
  public static let verb = "watch-vm"

  /// What it says once it is ready: the version of all that it and the process that starts it have in common, the messages over the link,
  /// the words of the shared note, the journal. It is counted up with each change of these, so that a program of another version is not
  /// taken for a watchdog. (Version 1 said the character "1".)
  static let version: UInt8 = 3

  /// What goes over the link, each with a descriptor but the last.
  enum Message: UInt8 {
    case journal = 0x4A
    case connection = 0x43
    case process = 0x50
    case image = 0x49
    case stream = 0x53
    case release = 0x52
  }

  /// What the watchdog has done so far.
  enum Stage: UInt64 {
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
    guard var process = WatchdogProcess(link) else { return }
    process.run()
  }
}

/// The watchdog itself: what its process knows and does.
private struct WatchdogProcess {
  private let link: UnixSocket
  private let note: SharedNote
  /// The connection of whom it watches over.
  private var connection: UnixSocket?
  private var image: File?
  /// Where QEMU sends pages, if it does.
  private var stream: UnixSocket?
  /// The owner of a pidfd of QEMU's process, as it was verified: whatever descriptor comes over the link is owned so.
  private var process: UnixSocket?
  private let subject: JournalSubject
  private var overdue = Overdue()

  /// How often it looks whether a pause is too long.
  private static let interval = Duration.milliseconds(50)
  /// How long it keeps trying, and how long it sleeps between two tries: other clients want to talk to QEMU as well.
  private static let patience = Duration.seconds(3600)
  private static let naps = (shortest: Duration.milliseconds(50), longest: Duration.seconds(10))

  /// Waits for the journal; `nil` where none comes.
  init?(_ link: UnixSocket) {
    self.link = link
    guard case .message(.journal, let passed?)? = Self.receive(link, .seconds(30)),
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
      case .message(.release, _): return
      case .end: return goBack()
      case .message(.connection, let passed): connection = passed ?? connection
      case .message(.process, let passed?): process = passed
      case .message(.stream, let passed?): stream = passed
      case .message(.image, let passed?):
        image = try? File.open(
          FilePath("/proc/self/fd/\(passed.descriptor)"), access: .read, directIO: .off)
      case .message: break
      }
    }
  }

  /// What comes over the link.
  private enum Received {
    /// A message, and the descriptor that came with it, whatever it is of.
    case message(VMWatchdog.Message, UnixSocket?)
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
      guard count > 0, let message = bytes.first.flatMap(VMWatchdog.Message.init) else {
        return .end
      }
      return .message(message, passed)
    } catch {
      return .end
    }
  }

  // MARK: The way back

  /// Takes the way back, again and again until it is done, or cannot be done any more.
  private func goBack() {
    note[.stage] = VMWatchdog.Stage.tookOver.rawValue
    // A guest that waits for a page to be sent runs on at once, and QEMU itself may have waited for one: it takes no commands then.
    stream?.shutdown()
    noteResume()
    let deadline = ContinuousClock.now + Self.patience
    var nap = Self.naps.shortest
    var last = Journal()
    while ContinuousClock.now < deadline {
      // What cannot be read was being written by two.
      let journal = Journal.decoded(note.read())?.journal ?? last
      last = journal
      guard !journal.isEmpty else {
        note[.stage] = VMWatchdog.Stage.undone.rawValue
        return
      }
      if let process, ProcessHandle.hasEnded(behind: process.descriptor) { break }
      do throws(QMPError) {
        let handsOff = try goBack(journal)
        let stage = handsOff == nil ? VMWatchdog.Stage.undone : .leftAlone
        note[.stage] = stage.rawValue
        return
      } catch {
        // It is tried again; there is no one to report to.
      }
      sleep(for: nap)
      nap = min(nap * 2, Self.naps.longest)
    }
    note[.stage] = VMWatchdog.Stage.leftAlone.rawValue
  }

  /// Looks for a RESUME among the events that the saving process has not read: then another client has resumed the VM, and what pauses it
  /// now is not our `stop`.
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
      let found = Journal.decoded(note.read())?.journal.bound
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
    return now - begin > limit.total || now - (beat?.time ?? now) > limit.stalled
  }
}
