import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Tells threads that wait in poll(2) that they are to stop. Raised once, by any thread, for good.
package final class StopSignal: Sendable {
  private let flag = Atomic<Bool>(false)
  private let event: OwnedDescriptor

  /// A signal that is not raised.
  ///
  /// Throws what eventfd gives (EMFILE).
  package init() throws(SystemCallError) {
    let descriptor = CLinux_eventDescriptor()
    try check(descriptor, .eventfd, .process)
    event = OwnedDescriptor(owning: descriptor)
  }

  /// Whether it is raised.
  package var isRaised: Bool { flag.load(ordering: .acquiring) }

  /// A descriptor that poll(2) finds readable once the signal is raised; valid as long as the value is referenced.
  package var descriptor: CInt { event.rawValue }

  /// Raises the signal.
  package func raise() {
    guard !flag.exchange(true, ordering: .acquiringAndReleasing) else { return }
    var one: UInt64 = 1
    // SAFETY: eight bytes of this function's own. The counter is zero before, so the write cannot fail.
    _ = unsafe write(event.rawValue, &one, 8)
  }

  /// Waits until `descriptor` is ready for `events`, or has failed or been closed at the other end, or the time is over.
  ///
  /// Gives false where the signal was raised. Throws what poll gives.
  package func wait(
    for descriptor: CInt, events: Int32, milliseconds: CInt = -1
  ) throws(SystemCallError) -> Bool {
    try wait(for: [(descriptor, events)], milliseconds: milliseconds) != nil
  }

  /// Waits until one of `descriptors` is ready; gives which are, or nil where the signal was raised.
  ///
  /// Throws what poll gives.
  package func wait(
    for descriptors: [(descriptor: CInt, events: Int32)], milliseconds: CInt = -1
  ) throws(SystemCallError) -> [Bool]? {
    var entries = descriptors.map {
      pollfd(fd: $0.descriptor, events: Int16($0.events), revents: 0)
    }
    entries.append(pollfd(fd: event.rawValue, events: Int16(POLLIN), revents: 0))
    _ = try retryingInterrupted(.poll, .process) {
      // SAFETY: the entries live for the call.
      unsafe poll(&entries, nfds_t(entries.count), milliseconds)
    }
    if isRaised { return nil }
    return entries.dropLast().map { $0.revents != 0 }
  }
}
