import LinuxIO
import LinuxProcesses
import MappedRAM
import MappedRAMFormat
import QMP

/// The pause: from the moment in which the VM is paused to the one in which it is resumed.
extension VMSession {
  /// Pauses the VM, and finds out what it was doing until then.
  ///
  /// Others may pause and resume it at the same time: whether it was us is decided by QEMU's event STOP, which it sends only where a VM
  /// that ran is paused, and by a look that QEMU carries out right before our `stop`. (Only a `stop` of another client that waited to be
  /// carried out at that very moment looks like ours.)
  ///
  /// - Parameter questions: sends what is to be asked about the paused VM, in the same breath.
  /// - Returns: what `questions` gave. The answers come next.
  func pause<Questions>(
    _ limit: PauseLimit, asking questions: () throws(QMPError) -> Questions = { () }
  ) throws(VMError) -> Questions {
    let look = try execute(.queryStatus)
    // What was read before is of no concern to the pause.
    _ = try takeEvents()
    note { $0.pause = Journal.Pause(isOurs: look.isLive, limit: limit) }
    let start = ContinuousClock.now
    // Disks are flushed before the answer comes.
    let (found, stop) = try send(.queryStatus, .stop)
    let asked = try VMError.asking(questions)
    var state = try answer(to: found)
    let events = try eventsSince(stop)
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
    if events.drop(while: { $0.name != "STOP" }).contains(where: { $0.name == "RESUME" }) {
      note { $0.pause?.isOurs = false }
      throw .resumedMeanwhile
    }
    note { $0.pause?.isOurs = isOurs }
    if isOurs {
      noteResumes()
      try beginPause(at: start)
    }
    return asked
  }

  /// Waits for the answer to `stop`.
  ///
  /// - Returns: what QEMU told since the answer that was taken before.
  private func eventsSince(_ stop: SentCommand<Void>) throws(VMError) -> [QMPEvent] {
    _ = connection.takeEventsRead()
    try answer(to: stop)
    return connection.takeEventsRead()
  }

  /// Notes it when the VM is resumed: whatever pauses it from then on is not our `stop`. A watchdog, which has a connection of its own,
  /// would not hear of it.
  private func noteResumes() {
    connection.onEvent = { [weak self] event in
      if event.name == "RESUME" { self?.note { $0.pause?.isByMigration = true } }
    }
  }

  private func beginPause(at start: ContinuousClock.Instant) throws(VMError) {
    pauseStart = start
    try beatWithProgress()
  }

  func endPause() {
    if let start = pauseStart.take() {
      downtime = .now - start
    } else if downtime == nil, stateBefore.isLive {
      downtime = pauseByEvents()
    }
    stopBeating()
  }

  /// How long QEMU itself has paused the VM, as its events say: from the first STOP to the last RESUME, or to the last event.
  private func pauseByEvents() -> Duration? {
    guard let events = try? connection.takeEvents(),
      let stop = events.first(where: { $0.name == "STOP" })
    else { return nil }
    let end = events.last { $0.name == "RESUME" } ?? events.last ?? stop
    return .microseconds(Int64(clamping: end.microseconds) - Int64(clamping: stop.microseconds))
  }

  // MARK: A pause by QEMU

  /// Notes that QEMU will pause the VM by itself, at the end of a migration of ours, if it runs now: if this process is stopped, it would
  /// not be resumed then.
  ///
  /// The limit holds from the moment in which QEMU says that the VM is paused, whatever it answers after that, or does not.
  func expectPause(_ limit: PauseLimit) throws(VMError) {
    expectedLimit = limit
    note {
      $0.pause = Journal.Pause(
        isOurs: stateBefore.isLive, isByMigration: true, limit: limit.withoutTotal)
    }
    try beatAlways()
    connection.onEvent = { [weak self] event in
      switch event.name {
      case "STOP": self?.bindExpectedPause()
      case "RESUME": self?.loosenExpectedPause()
      default: break
      }
    }
  }

  private func bindExpectedPause() {
    guard let expectedLimit else { return }
    hasUnseenStop = true
    note { $0.pause?.limit = expectedLimit }
    // Without it, the limit holds all the same.
    try? beatWithProgress()
  }

  /// QEMU has not paused the VM by itself, or its pause is over.
  private func loosenExpectedPause() {
    guard let expectedLimit else { return }
    hasUnseenStop = false
    note { $0.pause?.limit = expectedLimit.withoutTotal }
    try? beatAlways()
  }

  /// Looks whether it was QEMU that has paused the VM, once it is: the pause of another client has no limit of ours.
  func lookAtExpectedPause() throws(VMError) {
    guard hasUnseenStop else { return }
    hasUnseenStop = false
    if try execute(.queryStatus) == .paused { loosenExpectedPause() }
  }

  /// No pause by QEMU is expected any more: it is there, or we have paused the VM.
  @discardableResult private func endExpectedPause() -> PauseLimit? {
    connection.onEvent = nil
    hasUnseenStop = false
    return expectedLimit.take()
  }

  /// Pauses a VM that is being migrated, so that its migration comes to an end. One that another client has paused meanwhile is not ours.
  func pauseMigrating() throws(VMError) {
    guard try execute(.queryStatus).isLive else { return }
    _ = try takeEvents()
    let limit = endExpectedPause()
    note {
      $0.pause?.isByMigration = false
      if let limit { $0.pause?.limit = limit }
    }
    noteResumes()
    let start = ContinuousClock.now
    let (look, stop) = try send(.queryStatus, .stop)
    let found = try answer(to: look)
    guard try eventsSince(stop).contains(where: { $0.name == "STOP" }) else {
      // QEMU has paused it by itself in this moment, or another client has: the next look tells.
      if let limit {
        try expectPause(limit)
        bindExpectedPause()
      }
      return
    }
    stateBefore = found.isLive ? found : .running
    try beginPause(at: start)
  }

  /// Notes what the image that QEMU has written says that the VM was doing until QEMU paused it, if it was QEMU.
  func lookAtWrittenImage() {
    if journal.pause?.isByMigration == true, let state = writtenState()?.runState {
      stateBefore = state
    }
  }

  func writtenState() -> GlobalState? {
    guard let writtenImage else { return nil }
    return try? Image(reading: writtenImage).globalState(in: writtenImage)
  }

  // MARK: The VM is paused

  /// Whether we have paused the VM, and not resumed it.
  var hasPaused: Bool { journal.pause?.isOurs ?? false }

  /// Looks whether the VM has been paused all the time, in a state of ours.
  ///
  /// - Throws: `resumedMeanwhile`, `movedMeanwhile` where another client has done something with it: what was read then does not fit
  ///   together, or is not this VM's any more.
  func checkPause() throws(VMError) {
    let state = try executeAgain(.queryStatus)
    let events = try takeEvents()
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
    guard state == expected || journal.migration == .completed && state.isMigrated else {
      throw .movedMeanwhile(state: state.rawValue)
    }
  }

  /// Resumes the VM if we have paused it. Where that fails, it is tried again at the end: an image that is as good as complete comes
  /// first.
  func resume() {
    endExpectedPause()
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

  /// The VM could be resumed now, but is to stay paused if its image becomes complete, however long that takes.
  ///
  /// It gets its disks back, which a migration has taken from it. (Before QEMU 10.0 only `cont` does that.)
  func keepPaused() {
    endExpectedPause()
    note { $0.pause?.isBounded = false }
    endPause()
    if journal.hadDisks, journal.migration == .completed {
      inAnyCase { try? connection.execute(.blockdevSetActive(true)) }
    }
  }

  // MARK: The image is in place

  /// Resumes a VM that was paused before, once its image is complete.
  ///
  /// - Throws: `asleep` for one that would not survive it; `leftAlone` for one that another client has done something with.
  func resumePaused() throws(VMError) {
    try checkIsPaused()
    if writtenState()?.isAsleep == true { throw .asleep(cause: nil, canCapture: canBeCaptured) }
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
  /// - Throws: `leftAlone` for a VM that another client has done something with; where it has not ended, or that cannot be told.
  func quit() throws(VMError) {
    try checkIsPaused()
    try VMError.asking { () throws(QMPError) in try connection.quit() }
    guard let process else {
      // Whoever still listens has not ended.
      guard (try? UnixSocket.connect(to: connection.path, timeout: .seconds(1))) == nil else {
        throw .qmp(.timedOut(command: "quit", connection.path, after: .zero))
      }
      return
    }
    // It has closed its disks by the time it closes its sockets.
    let patience = Duration.seconds(10)
    guard process.wait(for: patience) else {
      throw .qmp(.timedOut(command: "quit", connection.path, after: patience))
    }
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
