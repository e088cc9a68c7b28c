import Glibc
import LinuxIO

/// Some signals, for this thread's mask and for waiting (sigsetops(3), signal(7)).
package struct SignalSet: Sendable {
  private var set = sigset_t()

  /// The signals of these numbers.
  package init(_ numbers: [CInt]) {
    // SAFETY: the set is this value's own; of a number that is no signal, nothing comes.
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
  }

  /// All that can be blocked.
  package static var all: SignalSet {
    var signals = SignalSet([])
    // SAFETY: the set is the value's own.
    unsafe sigfillset(&signals.set)
    return signals
  }

  /// Blocks them in this thread, and in those that it starts from then on.
  package func block() { change(SIG_BLOCK) }

  /// Lets them in again, in this thread.
  package func unblock() { change(SIG_UNBLOCK) }

  private func change(_ how: CInt) {
    var set = set
    // SAFETY: a copy, which is not kept.
    unsafe pthread_sigmask(how, &set, nil)
  }

  /// Waits until one of them is pending, and takes it (sigwait(3), sigtimedwait(2)); `nil` where the time is over, or something else
  /// ended the waiting. They must be blocked.
  package func wait(until deadline: ContinuousClock.Instant? = nil) -> CInt? {
    var set = set
    guard let deadline else {
      var number: CInt = 0
      // SAFETY: both are this call's own.
      return unsafe sigwait(&set, &number) == 0 ? number : nil
    }
    let rest = max(deadline - .now, .zero).components
    var time = timespec(
      tv_sec: Int(rest.seconds), tv_nsec: Int(rest.attoseconds / 1_000_000_000))
    // SAFETY: both are this call's own, and what is known of the signal is not asked for.
    let number = unsafe sigtimedwait(&set, nil, &time)
    return number > 0 ? number : nil
  }

  /// Whether this process ignores the signal, as nohup and shells have it for work in the background.
  package static func isIgnored(_ number: CInt) -> Bool {
    var action = sigaction()
    // SAFETY: only asks; what is there is filled in.
    guard unsafe sigaction(number, nil, &action) == 0 else { return false }
    // SAFETY: SIG_IGN is the address 1, which is compared and not called.
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
