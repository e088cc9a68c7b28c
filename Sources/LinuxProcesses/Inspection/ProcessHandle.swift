import CLinux
import Glibc
package import LinuxIO
import SystemPackage

/// A process that is held by a pidfd (pidfd_open(2)): what is asked of it and sent to it never reaches another process that has got its
/// number since.
package final class ProcessHandle: Sendable {
  /// The number, in this process's PID namespace. It is the process's own until the process has ended and was waited for.
  package let processID: Int32
  private let owned: OwnedDescriptor

  /// Holds the process `processID`, which may be one that has ended and was not waited for.
  ///
  /// Whatever the number was taken from may be older than the process: look again, through the number, at what it was taken for, and then
  /// that it has not `hasEnded`.
  ///
  /// - Throws: what pidfd_open(2) gives: ESRCH where there is no such process, EINVAL where the number is a thread's or not positive.
  package init(_ processID: Int32) throws(SystemCallError) {
    let descriptor = CLinux_processDescriptor(processID)
    try check(descriptor, .pidfd_open, .process)
    self.processID = processID
    owned = OwnedDescriptor(owning: descriptor)
  }

  /// A descriptor that poll(2) finds readable once the process has ended; valid as long as the value lives.
  package var descriptor: CInt { owned.rawValue }

  /// Whether the process has ended, with all its threads. A zombie has.
  package var hasEnded: Bool { wait(for: .zero) }

  /// Waits until the process has ended, but for at most `duration`. Whether it has.
  package func wait(for duration: Duration) -> Bool {
    Self.wait(for: duration, on: owned.rawValue)
  }

  /// Whether the process has ended of which `descriptor` is a pidfd, as another process may have handed it over.
  package static func hasEnded(behind descriptor: CInt) -> Bool {
    wait(for: .zero, on: descriptor)
  }

  private static func wait(for duration: Duration, on descriptor: CInt) -> Bool {
    let deadline = ContinuousClock.now.advanced(by: duration)
    while true {
      let left = deadline - .now
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: one pollfd, alive for the call.
      let count = unsafe poll(&waiting, 1, left.pollMilliseconds)
      if count > 0 { return true }
      // A signal, or more than poll(2) is asked to wait for: once more.
      if left <= .zero { return false }
    }
  }

  /// Has the kernel map `addresses` by huge pages, as far as it can: what is not there is made of zeros (madvise(2), MADV_COLLAPSE;
  /// Linux 6.1).
  ///
  /// - Throws: EPERM without the right to trace the process, or CAP_SYS_NICE; EINVAL where this kernel cannot, or the process has no such
  ///   memory; ENOMEM where there are no huge pages left; others for parts that could not be had just then. What could be, has been.
  package func collapse(_ addresses: Range<UInt64>) throws(SystemCallError) {
    try check(
      CLinux_collapse(owned.rawValue, addresses.lowerBound, addresses.count), .process_madvise,
      .processMemory(processID, addresses))
  }

  /// Sends a signal. Nothing happens to a process that has ended.
  ///
  /// - Throws: what pidfd_send_signal(2) gives; EPERM for a process of another user.
  package func signal(_ number: CInt) throws(SystemCallError) {
    let result = CLinux_signalProcess(owned.rawValue, number)
    if result == -ESRCH { return }
    try check(result, .pidfd_send_signal, .process)
  }
}
