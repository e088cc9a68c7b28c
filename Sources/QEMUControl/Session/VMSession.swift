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
  /// The limit of a pause that QEMU will begin by itself.
  private var expectedLimit: PauseLimit?
  /// Snapshots that are not taken back any more, unless the image does not get its name after all.
  private var keptSnapshots: (files: [DiskSnapshot], mayBeUsed: Bool) = ([], false)
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
    do throws(SystemCallError) {
      note = try SharedNote()
    } catch {
      throw .image(.system(error))
    }
  }

  /// Starts the watchdog. From then on the VM may be changed.
  ///
  /// - Returns: false where there is no such program: then nobody takes the way back if this process is killed.
  /// - Throws: where it cannot be started for another reason.
  func arm() throws(VMError) -> Bool {
    publish()
    do throws(SystemCallError) {
      watchdog = try Watchdog(watchdogProgram, reading: note, over: connection)
      return true
    } catch {
      guard [.noSuchFileOrDirectory, .protocolError].contains(error.errno) else {
        throw .system(error)
      }
      return false
    }
  }

  private func publish() {
    // A watchdog that has taken over has the journal for itself.
    if let watchdog, watchdog.answer != .watching { return }
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
  private func executeAgain<Answer>(_ command: QMPCommand<Answer>) throws(VMError) -> Answer {
    try talking { () throws(QMPError) in
      try reconnecting { () throws(QMPError) in try connection.execute(command) }
    }
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
    if isOurs { try beginPause(at: start) }
  }

  private func beginPause(at start: ContinuousClock.Instant) throws(VMError) {
    pauseStart = start
    try beatWithProgress()
  }

  /// Shows the watchdog from now on what `count` is, which moves as long as all is well.
  private func beat(_ count: @escaping @Sendable () -> UInt64) throws(VMError) {
    let (note, cancellation) = (note, cancellation)
    heartbeat = try system { () throws(SystemCallError) in
      try Heartbeat {
        note[.beat] = count()
        if note[.answer] != VMWatchdog.Answer.watching.rawValue { cancellation.cancel() }
      }
    }
  }

  /// Shows the watchdog from now on how far the work is.
  private func beatWithProgress() throws(VMError) {
    let progress = progress
    try beat { progress.doneBytes &+ progress.writtenBytes }
  }

  /// Shows the watchdog from now on that this process is alive.
  private func beatAlways() throws(VMError) {
    let note = note
    try beat { note[.beat] &+ 1 }
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

  /// Notes that QEMU will pause the VM by itself, at the end of a migration of ours, if it runs now: if this process is stopped, nobody would
  /// resume it then.
  func expectPause(_ limit: PauseLimit) throws(VMError) {
    expectedLimit = limit
    note {
      $0.pause = Journal.Pause(
        isOurs: stateBefore.isLive, isByMigration: true, limit: limit.withoutTotal)
    }
    try beatAlways()
  }

  /// Notes that QEMU has paused the VM, or is about to.
  func beginExpectedPause() throws(VMError) {
    guard let limit = expectedLimit.take() else { return }
    note { $0.pause?.limit = limit }
    try beatWithProgress()
  }

  /// Pauses a VM that is being migrated, so that its migration comes to an end. One that somebody else has paused meanwhile is not ours.
  func pauseMigrating() throws(VMError) {
    let start = ContinuousClock.now
    let (found, _, _, events) = try talking { () throws(QMPError) in
      try connection.execute(.queryStatus, then: .stop)
    }
    guard events.contains(where: { $0.name == "STOP" }) else { return }
    stateBefore = found.isLive ? found : .running
    let limit = expectedLimit.take()
    note {
      $0.pause?.isByMigration = false
      if let limit { $0.pause?.limit = limit }
    }
    try beginPause(at: start)
  }

  /// Whether we have paused the VM, and not resumed it.
  var hasPaused: Bool { journal.pause?.isOurs ?? false }

  /// Looks whether the VM has been paused all the time, in a state of ours.
  ///
  /// - Throws: `resumedMeanwhile`, `movedMeanwhile` where somebody else has done something with it: what was read then does not fit
  ///   together, or is not this VM's any more.
  func checkPause() throws(VMError) {
    let state = try executeAgain(.queryStatus)
    let events = try talking { () throws(QMPError) in try connection.takeEvents() }
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
      // The bound of the pause holds, but nothing need move any more.
      try? beatAlways()
    }
    if journal.pause == nil { endPause() }
  }

  /// All that had to be read has been: the image of a VM that is to stay paused can be completed, however long that takes.
  private func liftLimit() {
    heartbeat = nil
    note { $0.pause?.isBounded = false }
  }

  /// The VM could be resumed now, but is to stay paused if its image becomes complete.
  ///
  /// It gets its disks back, which a migration has taken from it. (Before QEMU 10.0 only `cont` does that.)
  func keepPaused() {
    liftLimit()
    endPause()
    if journal.hadDisks, journal.migration == .completed {
      try? connection.execute(.blockdevSetActive(true))
    }
  }

  /// Resumes a VM that was paused before, once its image is complete.
  ///
  /// - Throws: `asleep` for one that would not survive it; `leftAlone` for one that somebody else has done something with.
  func resumePaused() throws(VMError) {
    try checkIsPaused()
    if writtenState()?.isAsleep == true { throw .asleep(cause: nil) }
    try execute(.cont)
  }

  /// Looks whether the VM is paused, in a state of ours.
  private func checkIsPaused() throws(VMError) {
    let state = try executeAgain(.queryStatus)
    let isMigrated = writtenImage != nil && state == .postMigrate
    guard state == .paused || isMigrated || !stateBefore.isLive && state == stateBefore else {
      throw .leftAlone(state: state.rawValue, cause: nil)
    }
  }

  /// Ends QEMU, whose VM is paused, and waits until it has.
  ///
  /// - Throws: `leftAlone` for a VM that somebody else has done something with; where it has not ended, or that cannot be told.
  func quit() throws(VMError) {
    try checkIsPaused()
    // It has closed its disks by the time it closes its sockets.
    let patience = Duration.seconds(10)
    try talking { () throws(QMPError) in
      try connection.quit()
      guard let process else {
        // Whoever still listens has not ended.
        guard (try? UnixSocket.connect(to: connection.path, timeout: .seconds(1))) == nil else {
          throw .timedOut(command: "quit", connection.path, after: .zero)
        }
        return
      }
      guard process.wait(for: patience) else {
        throw .timedOut(command: "quit", connection.path, after: patience)
      }
    }
  }

  /// Notes what the image that QEMU has written says that the VM was doing until QEMU paused it, if it was QEMU.
  func lookAtWrittenImage() {
    if journal.pause?.isByMigration == true, let state = writtenState()?.runState {
      stateBefore = state
    }
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
    if cause != nil, !keptSnapshots.files.isEmpty {
      note { ($0.snapshots, $0.snapshotsMayBeUsed) = keptSnapshots }
    }
    if let watchdog, watchdog.answer != .watching {
      // It has taken over, as the pause was too long.
      watchdog.wait(for: .seconds(30))
      self.watchdog = nil
      let isResumed = watchdog.answer == .undone
      // Of an image that is complete, all had been read by then.
      return cause == nil && isResumed ? nil : .pausedTooLong(isResumed: isResumed)
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
      let isWatched = abandon()
      if isPaused { return .leftPaused(cause: cause, reason: reason, isWatched: isWatched) }
      return snapshots.isEmpty
        ? .notUndone(cause: cause, reason: reason, isWatched: isWatched)
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

  /// Sets back what was changed besides the pause and the disks. Where that fails, it is tried again at the end.
  func tidyUp() {
    try? goBack { (unwind) throws(QMPError) in
      try unwind.tidyUp(Unwind.Patience())
      return nil
    }
  }

  /// The image is about to get its name: the snapshots belong to it from then on.
  func keepSnapshots() {
    keptSnapshots = (journal.snapshots, journal.snapshotsMayBeUsed)
    note { ($0.snapshots, $0.snapshotsMayBeUsed) = ([], false) }
  }

  /// Ends the session of a save that went well.
  ///
  /// - Parameter resumes: whether the VM is to be resumed, if we have paused it.
  /// - Returns: why it was not, or what else was not undone.
  func complete(resumes: Bool) -> VMError? {
    keptSnapshots = ([], false)
    note {
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

  /// Leaves what could not be undone to the watchdog, which goes on trying. Whether there is one.
  private func abandon() -> Bool {
    heartbeat = nil
    guard let watchdog = watchdog.take(), watchdog.abandon() else { return false }
    // QEMU talks to one client at a time.
    connection.socket.shutdown()
    return true
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
