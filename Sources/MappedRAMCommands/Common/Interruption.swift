import Glibc
import LinuxIO
import MappedRAM
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into a cancellation for as long as it lives.
///
/// The first signal asks the work to stop; it leaves nothing behind. A second one ends the process at once: new files have no name
/// until they are complete, so even then nothing is left where the file system knows such files.
struct Interruption: ~Copyable {
  private let isOver: Flag
  /// Joined when the value goes, after `deinit`.
  private let thread: PosixThread<Void, Never>

  /// Begins to listen. The calling thread must not have started others yet that do not block the signals.
  ///
  /// Signals that were ignored when the process began, as nohup and shells do for work in the background, stay ignored.
  ///
  /// - Throws: what pthread_create gives.
  init(cancelling cancellation: Cancellation) throws(SystemCallError) {
    let isOver = Flag()
    let signals = Self.block([SIGINT, SIGTERM, SIGHUP].filter { !Self.isIgnored($0) })
    self.isOver = isOver
    thread = try PosixThread(name: "signals") {
      Self.listen(signals, cancellation, until: isOver)
    }
  }

  /// Ends the listening. The signals stay blocked in this thread: one that comes later is too late.
  consuming func finish() {}

  deinit {
    isOver.value.store(true, ordering: .sequentiallyConsistent)
    // Every thread blocks the signal, so that the listening one gets it.
    kill(getpid(), Self.wakeUp)
  }

  /// The signal that ends the listening; by default it does nothing, so nobody can be hurt by it.
  private static let wakeUp = SIGURG

  private final class Flag: Sendable {
    let value = Atomic<Bool>(false)
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

  private static func listen(
    _ signals: [CInt], _ cancellation: Cancellation, until isOver: Flag
  ) {
    var set = makeSet(signals)
    while true {
      var number: CInt = 0
      // SAFETY: both are this function's own.
      let result = unsafe sigwait(&set, &number)
      if isOver.value.load(ordering: .sequentiallyConsistent) { return }
      guard result == 0, number != wakeUp else { continue }
      if cancellation.isCancelled { _exit(ExitStatus.interrupted.rawValue) }
      cancellation.cancel()
    }
  }
}
