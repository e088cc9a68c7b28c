import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAM
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP, and the end of the time that the command has, into a cancellation for as long as it lives.
///
/// The first signal asks the work to stop; it leaves nothing behind. A second one, half a second later or more, ends the process at once:
/// new files have no name until they are complete, so even then nothing is left where the file system knows such files, but for the
/// microseconds in which one replaces another. One that comes sooner is not the user's impatience: timeout(1) signals its child, and then
/// its group.
struct Interruption: ~Copyable {
  private let state: State
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>

  /// Begins to listen. The calling thread must not have started others yet that do not block the signals.
  ///
  /// Signals that were ignored when the process began, as nohup and shells do for work in the background, stay ignored.
  ///
  /// - Parameter timeLimit: after which the work is cancelled as by a signal.
  /// - Throws: what pthread_create gives.
  init(
    cancelling cancellation: Cancellation, after timeLimit: Duration?
  ) throws(SystemCallError) {
    let state = State()
    let signals = Self.signals
    signals.block()
    // It would end the process where a file may not be as long: the call that writes gives EFBIG then.
    SignalSet([SIGXFSZ]).block()
    self.state = state
    thread = try PosixThread(name: "signals") {
      Self.listen(signals, until: timeLimit.map { .now + $0 }, cancellation, state)
    }
  }

  /// Runs `body`, while a signal, or the end of the time, cancels `cancellation`. The signals stay blocked in this thread.
  ///
  /// - Throws: `body`'s error, as `timedOut` where the time was over; what pthread_create gives.
  static func cancelling<Value>(
    _ cancellation: Cancellation, after timeLimit: Duration? = nil,
    during body: () throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    let interruption = try CommandError.system { () throws(SystemCallError) in
      try Interruption(cancelling: cancellation, after: timeLimit)
    }
    do throws(CommandError) {
      let value = try body()
      interruption.finish(isDone: true)
      return value
    } catch {
      let isOver = interruption.state.isTimeOver.load(ordering: .sequentiallyConsistent)
      interruption.finish(isDone: false)
      guard let timeLimit, isOver, ExitStatus(error) == .interrupted else { throw error }
      throw .timedOut(timeLimit, error)
    }
  }

  /// Lets signals do to this thread what they do to any, once they are not listened for any more.
  static func unblockSignals() { signals.unblock() }

  /// What is listened to.
  private static var signals: SignalSet {
    SignalSet([SIGINT, SIGTERM, SIGHUP].filter { !SignalSet.isIgnored($0) } + [wakeUp])
  }

  /// Ends the listening.
  ///
  /// - Parameter isDone: whether the work was done nevertheless. Then a signal came too late for it, and is pending again: whoever takes
  ///   signals next, such as a VM in the foreground, gets it.
  consuming func finish(isDone: Bool) {
    state.isDone.store(isDone, ordering: .sequentiallyConsistent)
  }

  deinit {
    state.isOver.store(true, ordering: .sequentiallyConsistent)
    // Every thread blocks the signal, so that the listening one gets it.
    kill(getpid(), Self.wakeUp)
  }

  /// The signal that ends the listening; by default it does nothing, so it can do no harm.
  private static let wakeUp = SIGURG

  private final class State: Sendable {
    let isOver = Atomic<Bool>(false)
    let isDone = Atomic<Bool>(false)
    let isTimeOver = Atomic<Bool>(false)
  }

  /// How long after the first signal another one does not count.
  private static let patience = Duration.milliseconds(500)

  private static func listen(
    _ signals: SignalSet, until end: ContinuousClock.Instant?, _ cancellation: Cancellation,
    _ state: State
  ) {
    var end = end
    var first: (number: CInt, time: ContinuousClock.Instant)?
    while true {
      let found = signals.wait(until: end)
      if let time = end, time <= .now {
        end = nil
        if first == nil { state.isTimeOver.store(true, ordering: .sequentiallyConsistent) }
        cancellation.cancel()
      }
      let number = found == wakeUp ? nil : found
      if state.isOver.load(ordering: .sequentiallyConsistent) {
        // One that came between the end of the work and the end of the listening is as late as one before.
        if let late = first?.number ?? number, state.isDone.load(ordering: .sequentiallyConsistent)
        {
          kill(getpid(), late)
        }
        return
      }
      guard let number else { continue }
      guard let first else {
        first = (number, .now)
        cancellation.cancel()
        continue
      }
      if ContinuousClock.now - first.time >= patience { _exit(ExitStatus.interrupted.rawValue) }
    }
  }
}

/// Ends the process when a time is over, unless this value goes before: for a command that has nothing to undo.
struct TimeLimit: ~Copyable {
  private let isOver = Monitor(false)
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>

  /// Begins to wait. The end is told as `output` says, on stdout only where there is nothing yet: a reader may have stalled.
  ///
  /// - Parameter hasWritten: whether something has gone to stdout.
  /// - Throws: what pthread_create gives.
  init(
    _ time: Duration, _ output: OutputArguments, _ hasWritten: Monitor<Bool>
  ) throws(CommandError) {
    let isOver = isOver
    thread = try CommandError.system { () throws(SystemCallError) in
      try PosixThread(name: "time limit") {
        guard isOver.wait(for: time, until: { $0 ? true : nil }) == nil else { return }
        let error = CommandError.timedOut(time, .image(.cancelled, output: nil))
        let isOnStdout = !hasWritten.withLock { $0 }
        _exit(CommandRun.tell(error, output, isOnStdout: isOnStdout).rawValue)
      }
    }
  }

  deinit { isOver.withLock { $0 = true } }
}
