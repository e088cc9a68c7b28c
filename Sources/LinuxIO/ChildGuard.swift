import CLinux
import Glibc
import SystemPackage

/// A process that kills another one when this process ends in any way. It goes without harm when the value goes.
///
/// PR_SET_PDEATHSIG, which does the same, cannot be taken back from outside, and looks at the thread that started the
/// program, not at the process. There are some microseconds between a program's start and its guard's.
struct ChildGuard: ~Copyable, Sendable {
  private let processID: Int32
  private let release: Int32

  /// Watches over `process`.
  ///
  /// - Throws: what fork(2) and socketpair(2) give.
  init(over process: ProcessHandle) throws(SystemCallError) {
    var release: Int32 = -1
    // SAFETY: the number is written before the call returns, and is not kept.
    let started = unsafe CLinux_startGuard(process.descriptor, &release)
    try check(started, .fork, .process)
    processID = started
    self.release = release
  }

  deinit {
    // An error has nobody to go to here.
    _ = CLinux_release(processID, release)
  }
}
