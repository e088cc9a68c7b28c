import LinuxIO
import LinuxProcesses

/// The most memory that this process has from the watch's making on, without the guest's where that is mapped here.
///
/// That is the kernel's own figure (VmHWM), unless files in memory are mapped here: then it is the most of the other memory that was
/// seen by a look every 10 ms.
final class PeakWatch {
  private let state = Monitor(State())
  private let thread: PosixThread<Void, Never>

  private struct State {
    var isOver = false
    var own: UInt64 = 0
    var shared: UInt64 = 0

    mutating func look() {
      guard let now = ResidentMemory.current() else { return }
      own = max(own, now.anonymous + now.file)
      shared = max(shared, now.shared)
    }
  }

  /// As much of shared memory is anybody's: rings and the like.
  private static let sharedLimit: UInt64 = 4 << 20

  /// Begins to look.
  init() throws(BenchError) {
    let state = state
    thread = try BenchError.system { () throws(SystemCallError) in
      try PosixThread(name: "peak") {
        while state.wait(for: .milliseconds(10), until: { $0.isOver ? true : nil }) == nil {
          state.withLock(wakesWaiters: false) { $0.look() }
        }
      }
    }
  }

  deinit { state.withLock { $0.isOver = true } }

  /// The peak so far, in bytes.
  var bytes: UInt64 {
    let (own, shared) = state.withLock { state in
      state.look()
      return (state.own, state.shared)
    }
    return shared <= Self.sharedLimit ? ResourceUsage.current().maximumResidentBytes : own
  }
}
