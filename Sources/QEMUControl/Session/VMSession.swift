import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A VM that is not ours, for the time in which we change something about it.
///
/// What is changed goes through here, is noted before, and is undone by `unwind` whatever happens; a watchdog does it where this process
/// cannot any more. A VM is resumed only where we have paused it.
final class VMSession {
  let connection: QMPConnection
  let subject: JournalSubject
  /// QEMU's process, where it is known for certain.
  let process: ProcessHandle?
  /// What is to be undone.
  private(set) var journal = Journal() { didSet { publish() } }
  var watchdog: WatchdogHandle?
  /// What shows the watchdog that something moves.
  private let progress: TransferProgress
  private let cancellation: Cancellation
  private var heartbeat: Heartbeat?
  /// What the VM was doing when it was paused, or when it was looked at last.
  var stateBefore: RunState
  /// How long the VM was paused; `nil` for one that was paused before, or is paused yet.
  var downtime: Duration?
  var pauseStart: ContinuousClock.Instant?
  /// The limit of a pause that QEMU will begin by itself.
  var expectedLimit: PauseLimit?
  /// Whether a STOP has come while a pause by QEMU is expected, and it has not been checked yet whether QEMU itself paused the VM.
  var hasUnseenStop = false
  /// Whether a VM like this can be captured, for the advice in an error.
  var canBeCaptured = true
  /// Snapshots that are not taken back any more, unless the image does not get its name after all.
  var keptSnapshots: (files: [DiskSnapshot], mayBeUsed: Bool) = ([], false)
  /// Why the VM could not be resumed, while its image was finished all the same.
  var resumeFailure: VMError?
  /// The image that QEMU writes.
  private(set) var writtenImage: File?
  /// Whether a connection that breaks is made anew.
  private let reconnects: Bool
  /// How long QEMU may be out of reach.
  var patience = Duration.seconds(10)

  /// A session about the VM `vm`, of which nothing has been changed yet.
  ///
  /// - Parameters:
  ///   - process: QEMU's process, where it is known for certain.
  ///   - progress: shows the watchdog that something moves.
  ///   - cancellation: ends the work once the watchdog has taken over.
  convenience init(
    _ connection: QMPConnection, _ vm: RunningVM, process: ProcessHandle?,
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation(),
    reconnects: Bool = true
  ) {
    self.init(
      connection,
      JournalSubject(socket: connection.path, peer: vm.peerProcessID, uuid: vm.uuid),
      stateBefore: vm.runState, process: process, progress: progress,
      cancellation: cancellation, reconnects: reconnects)
  }

  init(
    _ connection: QMPConnection, _ subject: JournalSubject, stateBefore: RunState,
    process: ProcessHandle? = nil, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation(), reconnects: Bool = true
  ) {
    self.connection = connection
    self.subject = subject
    self.stateBefore = stateBefore
    self.process = process
    self.progress = progress
    self.cancellation = cancellation
    self.reconnects = reconnects
  }

  deinit {
    connection.onEvent = nil
    if journal.isEmpty { finish() }
  }

  // MARK: The journal and its reader

  /// Starts the watchdog. From then on the VM may be changed.
  ///
  /// - Parameter program: watches over the session.
  /// - Returns: false where there is no such program: then the way back is not taken if this process is killed.
  /// - Throws: where it cannot be started for another reason.
  func arm(_ program: String) throws(VMError) -> Bool {
    let note: SharedNote
    do throws(SystemCallError) {
      note = try SharedNote()
    } catch {
      throw .image(.system(error))
    }
    do throws(SystemCallError) {
      try note.write(journal.encoded(of: subject))
      watchdog = try WatchdogHandle(program, reading: note, over: connection, process, cancellation)
      return true
    } catch {
      guard !cancellation.isCancelled else { throw .image(.cancelled) }
      guard [.noSuchFileOrDirectory, .protocolError].contains(error.errno) else {
        throw .system(error)
      }
      return false
    }
  }

  private func publish() {
    // A watchdog that has taken over has the journal for itself.
    guard let watchdog, watchdog.stage == .watching else { return }
    // A journal that is too long to be published, which would need thousands of disks, is this process's alone.
    try? watchdog.note.write(journal.encoded(of: subject))
  }

  /// Notes what is about to be done, or has been.
  func note(_ change: (inout Journal) -> Void) {
    var next = journal
    change(&next)
    journal = next
  }

  /// The journal as `Unwind` has left it.
  func replaceJournal(_ journal: Journal) { self.journal = journal }

  /// Says which image QEMU writes: it tells what the VM was doing when it was saved.
  func isWritten(_ image: File) {
    writtenImage = image
    watchdog?.use(image: image)
  }

  /// Lets the watchdog go: there is nothing to undo any more.
  func finish() {
    heartbeat = nil
    watchdog.take()?.release()
  }

  /// Leaves what could not be undone to the watchdog, which keeps trying. Whether there is one.
  func abandon() -> Bool {
    heartbeat = nil
    guard let watchdog = watchdog.take(), watchdog.abandon() else { return false }
    // QEMU talks to one client at a time.
    connection.socket.shutdown()
    return true
  }

  // MARK: The heartbeat

  /// Shows the watchdog from now on how far the work is.
  func beatWithProgress() throws(VMError) {
    let progress = progress
    try beat { _ in progress.doneBytes &+ progress.writtenBytes }
  }

  /// Shows the watchdog from now on that this process is alive.
  func beatAlways() throws(VMError) { try beat { $0 &+ 1 } }

  /// Shows the watchdog nothing any more.
  func stopBeating() { heartbeat = nil }

  /// Shows the watchdog from now on what `next` makes of what it was shown last: another number, as long as all is well.
  private func beat(_ next: @escaping @Sendable (UInt64) -> UInt64) throws(VMError) {
    guard let note = watchdog?.note else { return }
    let cancellation = cancellation
    do throws(SystemCallError) {
      heartbeat = try Heartbeat {
        note[.beat] = next(note[.beat])
        if note[.stage] != VMWatchdog.Stage.watching.rawValue { cancellation.cancel() }
      }
    } catch {
      throw .system(error)
    }
  }

  // MARK: Commands

  /// How long to wait for each of QEMU's answers on the way back of a save that is cancelled: what is not undone then is left to the
  /// watchdog.
  static let grace = Duration.seconds(5)
  /// Each command waits as long as it does otherwise.
  private static let unlimitedGrace = Duration.seconds(3600)

  /// Runs `body` even where the work is cancelled. QEMU's answers are then waited for only briefly if the watchdog can do the rest.
  ///
  /// - Parameter grace: how long each answer is waited for then; by default as long as around this call, or only briefly where a watchdog
  ///   watches.
  func inAnyCase<Value, Failure: Error>(
    grace: Duration? = nil, _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let before = connection.grace
    connection.grace =
      grace
      ?? (before > .zero
        ? before : watchdog?.stage == .watching ? Self.grace : Self.unlimitedGrace)
    defer { connection.grace = before }
    return try body()
  }

  /// Sends a command; as `QMPConnection.execute`.
  func execute<Answer>(_ command: QMPCommand<Answer>) throws(VMError) -> Answer {
    try VMError.asking { () throws(QMPError) in try connection.execute(command) }
  }

  /// Sends commands without waiting; as `QMPConnection.send`.
  func send<each Answer>(
    _ commands: repeat QMPCommand<each Answer>
  ) throws(VMError) -> (repeat SentCommand<each Answer>) {
    try VMError.asking { () throws(QMPError) in try connection.send(repeat each commands) }
  }

  /// Waits for an answer; as `QMPConnection.answer`.
  func answer<Answer>(to sent: SentCommand<Answer>) throws(VMError) -> Answer {
    try VMError.asking { () throws(QMPError) in try connection.answer(to: sent) }
  }

  /// Takes the events that came so far; as `QMPConnection.takeEvents`.
  func takeEvents() throws(VMError) -> [QMPEvent] {
    try VMError.asking { () throws(QMPError) in try connection.takeEvents() }
  }

  /// Sends a command that may be sent twice: over a new connection where the old one is broken.
  func executeAgain<Answer>(_ command: QMPCommand<Answer>) throws(VMError) -> Answer {
    try VMError.asking { () throws(QMPError) in
      try reconnecting { () throws(QMPError) in try connection.execute(command) }
    }
  }

  /// Runs `body`, and once more over a new connection where the old one is broken.
  func reconnecting<Value>(_ body: () throws(QMPError) -> Value) throws(QMPError) -> Value {
    do throws(QMPError) {
      return try body()
    } catch {
      switch error {
      case .refused, .cancelled: throw error
      // What QEMU does not answer in the time that is left, it answers over no other connection.
      case _ where connection.isCancelled() && !error.isEndOfConversation: throw error
      default: break
      }
      try reconnect(after: error)
      return try body()
    }
  }

  private func reconnect(after failure: QMPError) throws(QMPError) {
    // A watchdog that has taken over has cut the connection, and needs QEMU for itself.
    guard reconnects, watchdog?.stage ?? .watching == .watching else { throw failure }
    let deadline =
      ContinuousClock.now + (connection.isCancelled() ? min(connection.grace, patience) : patience)
    while true {
      do throws(QMPError) {
        try connection.reconnect()
        guard try subject.isBehind(connection) else {
          connection.socket.shutdown()
          throw .closed(command: nil, connection.path)
        }
        watchdog?.use(connection.socket)
        return
      } catch {
        guard ContinuousClock.now < deadline, process?.hasEnded != true, error != .cancelled else {
          throw error
        }
        sleep(for: .milliseconds(50))
      }
    }
  }
}

/// A thread that does something ten times a second.
private final class Heartbeat {
  private let stop: StopSignal
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>

  init(_ beat: @escaping @Sendable () -> Void) throws(SystemCallError) {
    let stop = try StopSignal()
    self.stop = stop
    thread = try PosixThread(name: "heartbeat") {
      while !stop.isRaised {
        beat()
        _ = try? stop.wait(for: [], milliseconds: 100)
      }
    }
  }

  deinit { stop.raise() }
}
