import Glibc
import LinuxIO

/// How a process has ended.
public enum ChildEnd: Equatable, Sendable {
  /// By itself, with this status (0 to 255).
  case exited(status: Int32)
  /// By a signal, perhaps with a core dump.
  case killed(signal: Int32, dumpedCore: Bool)

  init(how: Int32, status: Int32) {
    switch how {
    case 2: self = .killed(signal: status, dumpedCore: false)
    case 3: self = .killed(signal: status, dumpedCore: true)
    default: self = .exited(status: status)
    }
  }

  /// The status as shells tell it: 128 more than the signal's number where a signal was the end.
  public var shellStatus: Int32 {
    switch self {
    case .exited(let status): status
    case .killed(let signal, _): 128 + signal
    }
  }

  /// Ends this process in the same way, as if it had been the child; without a core dump of its own.
  ///
  /// Nothing that is open is flushed or cleaned up.
  public func endThisProcess() -> Never {
    if case .killed(let number, _) = self {
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      // SAFETY: the limit is this function's own, and is not kept.
      unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_CORE.rawValue)), &limit)
      signal(number, SIG_DFL)
      SignalSet([number]).unblock()
      raise(number)
    }
    // Also where the signal's default action is not the end.
    _exit(shellStatus)
  }
}
