import LinuxIO
import LinuxProcesses
import MappedRAM
import QMP
import SystemPackage

/// The way back, from the side of who saves.
extension VMSession {
  /// Undoes everything, after `cause`.
  ///
  /// - Returns: the error to be told.
  func unwind(after cause: VMError) -> VMError { undoAll(after: cause) ?? cause }

  /// Undoes everything. What cannot be undone here is left to the watchdog.
  ///
  /// - Parameter cause: why, if the save failed.
  /// - Returns: what was not undone.
  private func undoAll(after cause: VMError?) -> VMError? {
    defer { endPause() }
    connection.onEvent = nil
    if cause != nil, !keptSnapshots.files.isEmpty {
      note { ($0.snapshots, $0.snapshotsMayBeUsed) = keptSnapshots }
    }
    if let isResumed = isUndoneByWatchdog() {
      // As the pause was too long. Of an image that is complete, all had been read by then.
      return cause == nil && isResumed ? nil : .pausedTooLong(isResumed: isResumed)
    }
    do throws(VMError) {
      try goBack(after: cause) { (unwind) throws(QMPError) in try unwind.run() }
      finish()
      return nil
    } catch {
      // It may have taken over meanwhile, and cut the connection.
      if let isResumed = isUndoneByWatchdog() {
        return isResumed ? nil : .pausedTooLong(isResumed: false)
      }
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
        : .snapshotsRemain(snapshots, cause: cause, reason: reason, isWatched: isWatched)
    }
  }

  /// Whether the watchdog has undone everything, where it has taken over; `nil` where it has not.
  private func isUndoneByWatchdog() -> Bool? {
    guard let watchdog, watchdog.stage != .watching else { return nil }
    watchdog.wait(for: .seconds(30))
    self.watchdog = nil
    return watchdog.stage == .undone
  }

  /// Goes a part of the way back, again over a new connection where the old one breaks.
  func goBack(
    after cause: VMError? = nil, _ part: (inout Unwind) throws(QMPError) -> Unwind.HandsOff?
  ) throws(VMError) {
    let handsOff = try inAnyCase { () throws(VMError) in
      try VMError.asking { () throws(QMPError) in
        try reconnecting { () throws(QMPError) in
          var unwind = Unwind(
            journal, over: connection, written: writtenState, publish: replaceJournal)
          return try part(&unwind)
        }
      }
    }
    switch handsOff {
    case nil: return
    case .state(let state)?: throw .leftAlone(state: state, cause: cause)
    case .asleep?: throw .asleep(cause: cause, canCapture: canBeCaptured)
    }
  }

  /// Sets back what was changed besides the pause and the disks.
  func tidyUp() throws(VMError) {
    try goBack { (unwind) throws(QMPError) in
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
}
