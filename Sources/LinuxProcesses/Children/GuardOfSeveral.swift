import CLinux
import LinuxIO
import SystemPackage

/// A process that watches over several others, and kills them when this process ends in any way. It is there as long as one of them is
/// watched over, and goes without harm then.
///
/// One for all, since to fork a process copies the tables of all memory: a thousand commands would have a thousand copies, and each has to
/// come to its end while a VM waits.
final class GuardOfSeveral: Sendable {
  private let processID: Int32
  private let link: Int32
  private let numbers = Monitor(Numbers())

  /// Which numbers are in use.
  private struct Numbers {
    var next: Int32 = 0
    var free: [Int32] = []

    mutating func take() -> Int32? {
      if let number = free.popLast() { return number }
      guard next < CLinux_GUARDED else { return nil }
      next += 1
      return next - 1
    }
  }

  private struct Current: ~Copyable {
    weak var guardian: GuardOfSeveral?
  }

  /// The one that new processes come to.
  private static let current = Monitor(Current())

  private init() throws(SystemCallError) {
    var link: Int32 = -1
    // SAFETY: the number is written before the call returns, and is not kept.
    let started = unsafe CLinux_startGuardOfSeveral(&link)
    try check(started, .fork, .process)
    processID = started
    self.link = link
  }

  deinit {
    // An error cannot be reported here.
    _ = CLinux_release(processID, link)
  }

  /// One process that is watched over, as long as the value is there.
  final class Ward: Sendable {
    private let guardian: GuardOfSeveral
    private let number: Int32

    fileprivate init(_ guardian: GuardOfSeveral, _ number: Int32) {
      self.guardian = guardian
      self.number = number
    }

    deinit {
      // A guard that is gone has nothing to forget.
      _ = CLinux_unwatch(guardian.link, number)
      guardian.numbers.withLock { $0.free.append(number) }
    }
  }

  /// Watches over `process`, also if this process ends right after the call.
  ///
  /// - Throws: what fork(2), socketpair(2) and sendmsg(2) give.
  static func watch(over process: ProcessHandle) throws(SystemCallError) -> Ward {
    // One that somebody has killed is replaced.
    if let guardian = current.withLock({ $0.guardian }),
      let ward = try? guardian.take(process)
    {
      return ward
    }
    let guardian = try GuardOfSeveral()
    current.withLock { $0.guardian = guardian }
    return try guardian.take(process)
  }

  private func take(_ process: ProcessHandle) throws(SystemCallError) -> Ward {
    guard let number = numbers.withLock({ $0.take() }) else {
      throw SystemCallError(call: .sendmsg, errno: .noSpace, subject: .process)
    }
    do throws(SystemCallError) {
      try check(CLinux_watch(link, number, process.descriptor), .sendmsg, .process)
    } catch {
      numbers.withLock { $0.free.append(number) }
      throw error
    }
    return Ward(self, number)
  }
}
