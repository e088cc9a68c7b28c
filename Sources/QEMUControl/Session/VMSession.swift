import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage

/// A VM that is not ours, for the time in which we change something about it.
///
/// What is changed goes through here, is noted before, and is undone by `unwind` whatever happens; a watchdog does it where this process
/// cannot any more. A VM is resumed only where we have paused it.
final class VMSession {
  let connection: QMPConnection
  private let subject: JournalSubject
  private let process: ProcessHandle?
  private let watchdogProgram: String
  /// What is to be undone.
  private(set) var journal = Journal() { didSet { publish() } }
  private let note: SharedNote
  private var watchdog: Watchdog?
  /// What shows the watchdog that something moves.
  private let progress: Progress
  private let cancellation: Cancellation
  private var heartbeat: Heartbeat?
  /// What the VM was doing when it was paused, or when it was looked at last.
  private(set) var stateBefore: RunState
  /// How long the VM was paused; `nil` for one that was paused before, or is paused yet.
  private(set) var downtime: Duration?
  private var pauseStart: ContinuousClock.Instant?
  /// Why the VM could not be resumed, while its image was finished all the same.
  private var resumeFailure: VMError?
  /// The image that QEMU writes.
  private var writtenImage: File?

  /// A session about the VM `vm`, of which nothing has been changed yet.
  ///
  /// - Parameters:
  ///   - process: QEMU's process, where it is known for certain.
  ///   - watchdog: the program that watches over the session.
  ///   - progress: shows the watchdog that something moves.
  ///   - cancellation: ends the work once the watchdog has taken over.
  convenience init(
    _ connection: QMPConnection, _ vm: RunningVM, process: Int32?, watchdog: String,
    progress: Progress, cancellation: Cancellation
  ) throws(VMError) {
    try self.init(
      connection,
      JournalSubject(socket: connection.path, peer: vm.peerProcessID, process: process),
      stateBefore: vm.runState, watchdog: watchdog, progress: progress,
      cancellation: cancellation)
  }

  init(
    _ connection: QMPConnection, _ subject: JournalSubject, stateBefore: RunState,
    watchdog: String, progress: Progress = Progress(),
    cancellation: Cancellation = Cancellation()
  ) throws(VMError) {
    self.connection = connection
    self.subject = subject
    self.stateBefore = stateBefore
    process = subject.process.flatMap { try? ProcessHandle($0) }
    watchdogProgram = watchdog
    self.progress = progress
    self.cancellation = cancellation
    do throws(FileError) {
      note = try SharedNote()
    } catch {
      throw .image(.file(error))
    }
  }

  /// Starts the watchdog. From then on the VM may be changed.
  ///
  /// - Returns: false where there is no such program: then nobody takes the way back if this process is killed.
  /// - Throws: where it cannot be started for another reason.
  func arm() throws(VMError) -> Bool {
    guard watchdog == nil else { return true }
    publish()
    do throws(SystemCallError) {
      watchdog = try Watchdog(watchdogProgram, reading: note, over: connection)
      if let writtenImage { watchdog?.use(image: writtenImage) }
      return true
    } catch {
      guard [.noSuchFileOrDirectory, .protocolError].contains(error.errno) else {
        throw .system(error)
      }
      return false
    }
  }

  private func publish() {
    // A journal that is too long to be published, which would need thousands of disks, is this process's alone.
    try? note.write(journal.encoded(of: subject))
  }

  /// Notes what is about to be done, or has been.
  func note(_ change: (inout Journal) -> Void) {
    var next = journal
    change(&next)
    journal = next
  }

  /// Says which image QEMU writes: it tells what the VM was doing when it was saved.
  func isWritten(_ image: File) {
    writtenImage = image
    watchdog?.use(image: image)
  }

  deinit {
    if journal.isEmpty { finish() }
  }

  // MARK: Commands

  /// Sends a command; as `QMPConnection.execute`.
  func execute<Answer>(_ command: QMPCommand<Answer>) throws(VMError) -> Answer {
    try talking { () throws(QMPError) in try connection.execute(command) }
  }

  /// Sends a command that may be sent twice: over a new connection where the old one is broken.
  private func executeAgain<Answer>(_ command: QMPCommand<Answer>) throws(QMPError) -> Answer {
    try reconnecting { () throws(QMPError) in try connection.execute(command) }
  }

  /// How long QEMU may be out of reach.
  private static let patience = Duration.seconds(10)

  /// Runs `body`, and once more over a new connection where the old one is broken.
  private func reconnecting<Value>(
    _ body: () throws(QMPError) -> Value
  ) throws(QMPError) -> Value {
    do throws(QMPError) {
      return try body()
    } catch {
      if case .refused = error { throw error }
      try reconnect(after: error)
      return try body()
    }
  }

  private func reconnect(after failure: QMPError) throws(QMPError) {
    // A watchdog that has taken over has cut the connection, and needs QEMU for itself.
    if watchdog?.answer ?? .watching != .watching { throw failure }
    let deadline = ContinuousClock.now + Self.patience
    while true {
      do throws(QMPError) {
        try connection.reconnect()
        watchdog?.use(connection.socket)
        return
      } catch {
        guard ContinuousClock.now < deadline, process?.hasEnded != true else { throw error }
        sleep(for: .milliseconds(50))
      }
    }
  }

  // MARK: The pause

  /// Pauses the VM, and finds out what it was doing until then.
  ///
  /// Others may pause and resume it at the same time: whether it was us is decided by QEMU's event STOP, which it sends only where a VM
  /// that ran is paused, and by a look that QEMU carries out right before our `stop`. (Only a `stop` of another client that waited to be
  /// carried out at that very moment looks like ours.)
  func pause(_ limit: PauseLimit) throws(VMError) {
    let look = try execute(.queryStatus)
    note { $0.pause = Journal.Pause(isOurs: look.isLive, limit: limit) }
    let start = ContinuousClock.now
    // Disks are flushed before the answer comes.
    let (found, _, _, events) = try talking { () throws(QMPError) in
      try connection.execute(.queryStatus, then: .stop)
    }
    var state = found
    var isOurs = false
    for event in events where !isOurs {
      if event.name == "STOP" {
        isOurs = true
        if !state.isLive { state = .running }
      } else {
        state = state.after(event)
      }
    }
    stateBefore = state
    if isOurs, events.last(where: { ["STOP", "RESUME"].contains($0.name) })?.name == "RESUME" {
      note { $0.pause?.isOurs = false }
      throw .resumedMeanwhile
    }
    note { $0.pause?.isOurs = isOurs }
    if isOurs { beginPause(at: start) }
  }

  private func beginPause(at start: ContinuousClock.Instant) {
    pauseStart = start
    let (note, progress, cancellation) = (note, progress, cancellation)
    heartbeat = try? Heartbeat {
      note[.beat] = progress.doneBytes &+ progress.writtenBytes
      if note[.answer] != VMWatchdog.Answer.watching.rawValue { cancellation.cancel() }
    }
  }

  private func endPause() {
    heartbeat = nil
    if let start = pauseStart.take() {
      downtime = .now - start
    } else if downtime == nil, stateBefore.isLive {
      downtime = pauseByEvents()
    }
  }

  /// How long QEMU itself has paused the VM, as its events say: from the first STOP to the last RESUME, or to the last event.
  private func pauseByEvents() -> Duration? {
    guard let events = try? connection.takeEvents(),
      let stop = events.first(where: { $0.name == "STOP" })
    else { return nil }
    let end = events.last { $0.name == "RESUME" } ?? events.last ?? stop
    return .microseconds(Int64(clamping: end.microseconds) - Int64(clamping: stop.microseconds))
  }

  /// Notes that QEMU will pause the VM by itself, at the end of a migration of ours, if it runs now.
  func expectPause(_ limit: PauseLimit) {
    note {
      $0.pause = Journal.Pause(
        isOurs: stateBefore.isLive, isByMigration: true, hasBegun: false, limit: limit)
    }
  }

  /// Pauses a VM that is being migrated, so that its migration comes to an end.
  func pauseMigrating() throws(VMError) {
    note {
      $0.pause?.isByMigration = false
      $0.pause?.hasBegun = true
    }
    beginPause(at: .now)
    try execute(.stop)
  }

  /// Whether we have paused the VM, and not resumed it.
  var hasPaused: Bool { journal.pause?.isOurs ?? false }

  /// Looks whether the VM has been paused all the time, in a state of ours.
  ///
  /// - Throws: `resumedMeanwhile`, `movedMeanwhile` where somebody else has done something with it: what was read then does not fit
  ///   together, or is not this VM's any more.
  func checkPause() throws(VMError) {
    let state: RunState
    let events: [QMPEvent]
    do throws(QMPError) {
      state = try executeAgain(.queryStatus)
      events = try connection.takeEvents()
    } catch {
      throw .qmp(error)
    }
    guard !state.isLive, !events.contains(where: { $0.name == "RESUME" }) else {
      // Whoever has resumed it has it in hand, also if it is paused again; unless a migration of ours has paused it.
      note {
        if $0.migration == .completed {
          $0.pause?.isByMigration = true
          $0.pause?.isOurs = true
        } else {
          $0.pause?.isOurs = false
        }
      }
      throw .resumedMeanwhile
    }
    let expected = hasPaused ? .paused : stateBefore
    let isMigrated = [.postMigrate, .finishMigrate].contains(state)
    guard state == expected || journal.migration == .completed && isMigrated else {
      throw .movedMeanwhile(state: state.rawValue)
    }
  }

  /// Resumes the VM if we have paused it. Where that fails, it is tried again at the end: an image that is as good as complete comes
  /// first.
  func resume() {
    do throws(VMError) {
      try goBack { (unwind) throws(QMPError) in
        try unwind.resume(Unwind.Patience(refusal: .milliseconds(500)))
      }
    } catch {
      resumeFailure = error
    }
    if journal.pause == nil { endPause() }
  }

  /// The VM could be resumed now, but is to stay paused if its image becomes complete.
  ///
  /// - Parameter needsDisks: whether it is to have its disks, which a migration has taken from it. (Before QEMU 10.0 only `cont` does
  ///   that.)
  func keepPaused(needsDisks: Bool) {
    endPause()
    if needsDisks, journal.hadDisks, journal.migration == .completed {
      try? connection.execute(.blockdevSetActive(true))
    }
  }

  /// Resumes a VM that was paused before, once its image is complete.
  ///
  /// - Throws: `asleep` for one that would not survive it.
  func resumePaused() throws(VMError) {
    if writtenState()?.isAsleep == true { throw .asleep(cause: nil) }
    try execute(.cont)
  }

  /// Notes what the image that QEMU has written says that the VM was doing until QEMU paused it.
  func lookAtWrittenImage() {
    if let state = writtenState()?.runState { stateBefore = state }
  }

  private func writtenState() -> GlobalState? {
    guard let writtenImage else { return nil }
    return try? Image(reading: writtenImage).globalState(in: writtenImage)
  }

  // MARK: The way back

  /// Runs `body`; where it fails, everything is undone.
  func unwinding<Value>(_ body: () throws(VMError) -> Value) throws(VMError) -> Value {
    do throws(VMError) {
      return try body()
    } catch {
      throw unwind(after: error)
    }
  }

  /// Undoes everything, after `cause`. Returns the error to be told.
  private func unwind(after cause: VMError) -> VMError { undoAll(after: cause) ?? cause }

  /// Undoes everything. What cannot be undone here is left to the watchdog.
  ///
  /// - Parameter cause: why, if the save failed.
  /// - Returns: what was not undone.
  private func undoAll(after cause: VMError?) -> VMError? {
    defer { endPause() }
    if let watchdog, watchdog.answer != .watching {
      // It has taken over, as the pause was too long.
      watchdog.wait(for: .seconds(30))
      self.watchdog = nil
      return .pausedTooLong(isResumed: watchdog.answer == .undone)
    }
    do throws(VMError) {
      try goBack(after: cause) { (unwind) throws(QMPError) in try unwind.run() }
      finish()
      return nil
    } catch {
      guard case .qmp(let reason) = error else {
        finish()
        if case .movedMeanwhile? = cause { return nil }
        return error
      }
      guard process?.hasEnded != true else {
        finish()
        return .gone
      }
      let (isPaused, snapshots) = (hasPaused, journal.snapshots.map { FilePath($0.file) })
      abandon()
      if isPaused { return .leftPaused(cause: cause, reason: reason) }
      return snapshots.isEmpty
        ? .notUndone(cause: cause, reason: reason)
        : .snapshotsRemain(snapshots, cause: cause, reason: reason)
    }
  }

  /// Goes a part of the way back, again over a new connection where the old one breaks.
  private func goBack(
    after cause: VMError? = nil, _ part: (inout Unwind) throws(QMPError) -> Unwind.HandsOff?
  ) throws(VMError) {
    let handsOff: Unwind.HandsOff?
    do throws(QMPError) {
      handsOff = try reconnecting { () throws(QMPError) in
        var unwind = Unwind(
          journal, over: connection, written: writtenState, publish: { self.journal = $0 })
        return try part(&unwind)
      }
    } catch {
      throw .qmp(error)
    }
    switch handsOff {
    case nil: return
    case .state(let state)?: throw .leftAlone(state: state, cause: cause)
    case .asleep?: throw .asleep(cause: cause)
    }
  }

  /// Sets back what was changed besides the pause and the disks.
  func tidyUp() throws(VMError) {
    try goBack { (unwind) throws(QMPError) in
      try unwind.tidyUp(Unwind.Patience())
      return nil
    }
  }

  /// Ends the session of a save that went well.
  ///
  /// - Parameter resumes: whether the VM is to be resumed, if we have paused it.
  /// - Returns: why it was not, or what else was not undone.
  func complete(resumes: Bool) -> VMError? {
    note {
      // They stay.
      $0.snapshots = []
      $0.snapshotsMayBeUsed = false
      if !resumes { ($0.pause, $0.migration) = (nil, nil) }
    }
    guard journal.isEmpty else { return undoAll(after: nil) }
    finish()
    endPause()
    return resumeFailure
  }

  /// Lets the watchdog go: there is nothing to undo any more.
  private func finish() {
    heartbeat = nil
    watchdog.take()?.release()
  }

  /// Leaves what could not be undone to the watchdog, which goes on trying.
  private func abandon() {
    heartbeat = nil
    watchdog.take()?.abandon()
    // QEMU talks to one client at a time.
    connection.socket.shutdown()
  }
}

extension RunState {
  /// The state after an event of QEMU's, as far as it tells.
  fileprivate func after(_ event: QMPEvent) -> RunState {
    switch event.name {
    case "STOP": .paused
    case "RESUME", "WAKEUP": .running
    case "SUSPEND": .suspended
    default: self
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
