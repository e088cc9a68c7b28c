import Glibc
import LinuxIO
import MappedRAM
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into a cancellation for as long as it lives.
///
/// The first signal asks the work to stop; it leaves nothing behind. A second one ends the process at once: new files have no name
/// until they are complete, so even then nothing is left where the file system knows such files.
struct Interruption: ~Copyable {
  private let state: State
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>

  /// Begins to listen. The calling thread must not have started others yet that do not block the signals.
  ///
  /// Signals that were ignored when the process began, as nohup and shells do for work in the background, stay ignored.
  ///
  /// - Throws: what pthread_create gives.
  init(cancelling cancellation: Cancellation) throws(SystemCallError) {
    let state = State()
    let signals = Self.block([SIGINT, SIGTERM, SIGHUP].filter { !Self.isIgnored($0) })
    self.state = state
    thread = try PosixThread(name: "signals") {
      Self.listen(signals, cancellation, state)
    }
  }

  /// Ends the listening. The signals stay blocked in this thread.
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

  /// The signal that ends the listening; by default it does nothing, so nobody can be hurt by it.
  private static let wakeUp = SIGURG

  private final class State: Sendable {
    let isOver = Atomic<Bool>(false)
    let isDone = Atomic<Bool>(false)
  }

  /// The signals, and the one that ends the listening, blocked in this thread and those that it will start.
  ///
  /// So is SIGXFSZ, which would end the process where a file may not be as long: the call that writes gives EFBIG then.
  private static func block(_ numbers: [CInt]) -> [CInt] {
    let all = numbers + [wakeUp]
    var set = makeSet(all + [SIGXFSZ])
    // SAFETY: the set is this function's own.
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    return all
  }

  private static func makeSet(_ numbers: [CInt]) -> sigset_t {
    var set = sigset_t()
    // SAFETY: as above; the numbers are signals.
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    return set
  }

  private static func isIgnored(_ number: CInt) -> Bool {
    var action = sigaction()
    // SAFETY: only asks; what is there is filled in.
    guard unsafe sigaction(number, nil, &action) == 0 else { return false }
    // SAFETY: SIG_IGN is the address 1, which is compared and not called.
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  private static func listen(_ signals: [CInt], _ cancellation: Cancellation, _ state: State) {
    var set = makeSet(signals)
    var first: CInt?
    while true {
      var number: CInt = 0
      // SAFETY: both are this function's own.
      let result = unsafe sigwait(&set, &number)
      let isSignal = result == 0 && number != wakeUp
      if state.isOver.load(ordering: .sequentiallyConsistent) {
        // One that came between the end of the work and the end of the listening is as late as one before.
        if isSignal, first == nil { first = number }
        if let first, state.isDone.load(ordering: .sequentiallyConsistent) { kill(getpid(), first) }
        return
      }
      guard isSignal else { continue }
      if cancellation.isCancelled { _exit(ExitStatus.interrupted.rawValue) }
      first = number
      cancellation.cancel()
    }
  }
}
