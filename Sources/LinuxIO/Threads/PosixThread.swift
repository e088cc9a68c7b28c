import CLinux
import Glibc
import SystemPackage

/// A POSIX thread that gives a value or fails. One that is dropped is joined, and its outcome is lost.
///
/// For work that blocks in system calls, which Swift's own executors are not for. All signals but
/// those of the thread's own faults are blocked in it, so a SIGINT is handled by another thread.
@safe
package struct PosixThread<Value: Sendable, Failure: Error>: ~Copyable, @unchecked Sendable {
  // @unchecked Sendable: the box is written by the thread before it ends and read after
  // pthread_join, which orders the two; the number may be joined from any thread, once.

  private let thread: pthread_t
  private let box: Unmanaged<Box<Value, Failure>>

  /// Starts `body` on a thread of its own, called `name` in ps -L and gdb (its first 15 bytes).
  ///
  /// Throws what pthread_create gives (EAGAIN at the limit of threads).
  package init(
    name: String, _ body: @escaping @Sendable () throws(Failure) -> Value
  ) throws(SystemCallError) {
    let box = unsafe Unmanaged.passRetained(Box(name: name, body))
    var thread = pthread_t()
    var (all, before) = (sigset_t(), sigset_t())
    // SAFETY: the sets are this function's own. A new thread has its creator's mask, so no signal
    // can reach it before it has blocked them.
    unsafe sigfillset(&all)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS] {
      unsafe sigdelset(&all, fault)
    }
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    // SAFETY: the box is retained for the thread until `join` or `deinit` releases it; the thread
    // has it as the non-generic ThreadBody, since a C function has no generic parameters.
    let result = unsafe pthread_create(
      &thread, nil,
      { pointer in
        if let pointer = unsafe pointer {
          unsafe Unmanaged<ThreadBody>.fromOpaque(pointer).takeUnretainedValue().run()
        }
        return nil
      }, box.toOpaque())
    // SAFETY: as above.
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard result == 0 else {
      unsafe box.release()
      throw SystemCallError(call: .pthread_create, errno: Errno(rawValue: result), subject: .thread)
    }
    self.thread = thread
    unsafe self.box = box
  }

  deinit {
    pthread_join(thread, nil)
    // SAFETY: retained in init; the thread, which borrowed it, has ended.
    unsafe box.release()
  }

  /// Waits for the end of the thread, and gives its value or throws its error.
  package consuming func join() throws(Failure) -> Value {
    let (thread, box) = unsafe (thread, box)
    discard self
    let result = pthread_join(thread, nil)
    precondition(result == 0, "pthread_join failed for a thread that was not yet joined")
    // SAFETY: retained in init; the thread is over, so this is the last use.
    guard let outcome = unsafe box.takeRetainedValue().outcome else {
      preconditionFailure("The thread ended without an outcome")
    }
    return try outcome.get()
  }
}

/// The kernel's number of the calling thread (gettid); with it, tests and logs can name threads.
package func currentThreadID() -> Int32 { CLinux_threadID() }

/// Names the calling thread, in ps -L and gdb: the first 15 bytes. The main thread's name is the process's.
package func nameThisThread(_ name: String) {
  // TASK_COMM_LEN is 16 with the zero at the end; a longer name would be refused whole.
  var bytes = name.utf8.prefix(15).map { CChar(bitPattern: $0) }
  bytes.append(0)
  // SAFETY: ends with a zero and lives for the call. A thread without its name works as well.
  _ = unsafe CLinux_setThreadName(bytes)
}

private class ThreadBody {
  func run() {}
}

private final class Box<Value: Sendable, Failure: Error>: ThreadBody {
  let name: String
  let body: @Sendable () throws(Failure) -> Value
  var outcome: Result<Value, Failure>?

  init(name: String, _ body: @escaping @Sendable () throws(Failure) -> Value) {
    self.name = name
    self.body = body
  }

  override func run() {
    nameThisThread(name)
    do throws(Failure) {
      outcome = .success(try body())
    } catch {
      outcome = .failure(error)
    }
  }
}
