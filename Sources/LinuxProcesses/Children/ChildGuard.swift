import CLinux
import Glibc
import LinuxIO
import Synchronization
import SystemPackage

/// A process that kills another one when this process ends in any way. It goes without harm when the value goes.
///
/// PR_SET_PDEATHSIG, which does the same, cannot be taken back from outside, and looks at the thread that started the
/// program, not at the process. There are some microseconds between a program's start and its guard's.
final class ChildGuard: Sendable {
  private let processID: Int32
  private let release: Int32
  private let isOver = Atomic<Bool>(false)

  /// Watches over `process`.
  ///
  /// - Parameter farewell: what is said before the process is killed.
  /// - Throws: what fork(2) and socketpair(2) give.
  init(
    over process: ProcessHandle, farewell: ChildProcess.Farewell? = nil
  ) throws(SystemCallError) {
    var release: Int32 = -1
    let started = Self.start(process.descriptor, farewell, &release)
    try check(started, .fork, .process)
    processID = started
    self.release = release
  }

  deinit {
    // An error cannot be reported here.
    if end() { _ = CLinux_release(processID, release) }
  }

  /// Does at once what it is there for, and goes: within `duration`, or later by itself.
  func act(within duration: Duration) {
    guard end() else { return }
    CLinux_letAct(release)
    let deadline = ContinuousClock.now + duration
    while case .success(nil) = ChildProcess.reap(processID, blocks: false), .now < deadline {
      sleep(for: .milliseconds(1))
    }
  }

  /// Whether it was not over before.
  private func end() -> Bool {
    !isOver.exchange(true, ordering: .sequentiallyConsistent)
  }

  /// The number of the process, or that of an error with its sign turned.
  private static func start(
    _ target: CInt, _ farewell: ChildProcess.Farewell?, _ release: inout Int32
  ) -> Int32 {
    guard let farewell else {
      // SAFETY: the number is written before the call returns, and is not kept.
      return unsafe CLinux_startGuard(target, nil, &release)
    }
    // SAFETY: as above; the guard has a copy of the bytes, as of all memory.
    return unsafe farewell.bytes.withUnsafeBufferPointer { bytes in
      var words = unsafe CLinux_Farewell(
        socket: farewell.socket.descriptor, bytes: bytes.baseAddress, byteCount: bytes.count,
        patience: Int32(clamping: farewell.patience.components.seconds))
      return unsafe CLinux_startGuard(target, &words, &release)
    }
  }
}
