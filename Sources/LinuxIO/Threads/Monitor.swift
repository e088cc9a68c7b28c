import Glibc

/// State behind a lock, with waiting until the state is as wished.
///
/// For POSIX threads: `Mutex` has no way to wait, and the thread sanitizer does not see its lock, which is taken inside a library that it
/// does not know. Every change through `withLock` wakes the waiters, who look again; nobody signals by hand. No method may be called from
/// inside a closure of the same monitor: that is a deadlock.
@safe
package final class Monitor<State: ~Copyable>: @unchecked Sendable {
  // @unchecked Sendable: the state is touched only with the lock held, and comes in as `sending`.

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private let state: UnsafeMutablePointer<State>
  /// Threads that wait; guarded by the lock. Nobody waiting saves the system call of the wake-up.
  private var waiters = 0

  /// A monitor over `state`.
  package init(_ state: consuming sending State) {
    unsafe lock = .allocate(capacity: 1)
    unsafe changed = .allocate(capacity: 1)
    unsafe self.state = .allocate(capacity: 1)
    unsafe self.state.initialize(to: state)
    // SAFETY: both are at fixed addresses for the life of self; the attributes are not kept.
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe changed.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    let result = unsafe pthread_mutex_init(lock, nil) | pthread_cond_init(changed, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
    precondition(result == 0, "A mutex and a condition variable cannot be made")
  }

  deinit {
    // SAFETY: nobody has a reference, so nobody holds the lock or waits.
    unsafe pthread_cond_destroy(changed)
    unsafe pthread_mutex_destroy(lock)
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
    unsafe changed.deallocate()
    unsafe lock.deallocate()
  }

  /// Runs `body` on the state with the lock held, then wakes those who wait, also after an error.
  ///
  /// `wakesWaiters` may be false where the change is one that nobody waits for: it saves a system
  /// call here, and a turn of each waiter.
  @discardableResult
  package func withLock<Value: ~Copyable, Failure: Error>(
    wakesWaiters: Bool = true,
    _ body: (inout sending State) throws(Failure) -> sending Value
  ) throws(Failure) -> sending Value {
    acquire()
    defer { release(wakesWaiters: wakesWaiters) }
    // SAFETY: the lock is held, so this is the only access.
    return unsafe try body(&state.pointee)
  }

  /// Waits until `body` gives a value, and gives it.
  ///
  /// `body` runs with the lock held: at once, and after each change. It may change the state in the
  /// turn in which it gives a value; the others are woken then.
  package func wait<Value>(
    until body: (inout sending State) -> sending Value?
  ) -> sending Value {
    acquire()
    defer { release() }
    while true {
      // SAFETY: the lock is held, so this is the only access.
      if let value = unsafe body(&state.pointee) { return value }
      waiters += 1
      // SAFETY: both live as long as self, and the lock is held.
      unsafe pthread_cond_wait(changed, lock)
      waiters -= 1
    }
  }

  /// Waits as `wait(until:)`, but for at most `duration`; then nil.
  ///
  /// `body` runs once more after the time is over.
  package func wait<Value>(
    for duration: Duration, until body: (inout sending State) -> sending Value?
  ) -> sending Value? {
    var deadline = monotonicTime(after: duration)
    acquire()
    defer { release() }
    var isOver = false
    while true {
      // SAFETY: the lock is held, so this is the only access.
      if let value = unsafe body(&state.pointee) { return value }
      if isOver { return nil }
      waiters += 1
      // SAFETY: both live as long as self, and the lock is held.
      isOver = unsafe pthread_cond_timedwait(changed, lock, &deadline) == ETIMEDOUT
      waiters -= 1
    }
  }

  private func acquire() {
    // SAFETY: the mutex lives as long as self.
    let result = unsafe pthread_mutex_lock(lock)
    precondition(result == 0, "The lock cannot be taken")
  }

  private func release(wakesWaiters: Bool = true) {
    // SAFETY: both live as long as self.
    if wakesWaiters, waiters > 0 { unsafe pthread_cond_broadcast(changed) }
    unsafe pthread_mutex_unlock(lock)
  }
}

/// The time of CLOCK_MONOTONIC in `duration` from now.
private func monotonicTime(after duration: Duration) -> timespec {
  var now = timespec()
  // SAFETY: `now` is filled and not kept.
  unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  let (seconds, nanoseconds) = duration.forTheKernel
  now.tv_sec += seconds
  now.tv_nsec += nanoseconds
  if now.tv_nsec >= 1_000_000_000 {
    now.tv_sec += 1
    now.tv_nsec -= 1_000_000_000
  }
  return now
}
