import LinuxIO
import MappedRAMFormat

/// The tasks of devices: each on a thread of its own, which the engine owns. The first that fails stops all.
///
/// All calls are made by one thread, the coordinating one. Tasks that go away are stopped and joined.
struct DeviceTasks: ~Copyable {
  /// What tells tasks to end.
  let stop: StopSignal
  private let state = Monitor(State())
  private let onStop: @Sendable () -> Void
  private let onFailure: @Sendable (ImageError) -> Void
  private var threads: [TaskThread] = []

  private struct State {
    var running = 0
  }

  /// How often a waiting coordinator looks whether somebody else has failed or asked for a stop.
  static let lookEvery = Duration.milliseconds(20)

  /// No tasks yet.
  ///
  /// - Parameters:
  ///   - stop: what tells them to end.
  ///   - onStop: called, perhaps more than once, when tasks are to end: lets go whoever waits for a buffer.
  ///   - onFailure: called with a task's error, by its thread.
  init(
    stop: StopSignal, onStop: @escaping @Sendable () -> Void,
    onFailure: @escaping @Sendable (ImageError) -> Void
  ) {
    self.stop = stop
    self.onStop = onStop
    self.onFailure = onFailure
  }

  deinit { stopAll() }

  /// Starts a task of `device`.
  mutating func start(
    _ device: DeviceIdentity, _ body: @escaping @Sendable () throws(DeviceFailure) -> Void
  ) throws(ImageError) {
    let (state, stop, onStop, onFailure) = (state, stop, onStop, onFailure)
    state.withLock { $0.running += 1 }
    do throws(SystemCallError) {
      let thread = try PosixThread(name: device.idstr) {
        do throws(DeviceFailure) {
          try body()
        } catch {
          // Whoever was stopped is not the one that failed.
          if error != .stopped {
            onFailure(.device(device, error))
            stop.raise()
            onStop()
          }
        }
        state.withLock { $0.running -= 1 }
      }
      threads.append(TaskThread(thread))
    } catch {
      state.withLock { $0.running -= 1 }
      throw .system(error)
    }
  }

  /// Waits until all tasks are over; once `mustStop` says so, they are stopped.
  ///
  /// Returns whether they ended by themselves. Their errors went to `onFailure`.
  @discardableResult
  func wait(mustStop: () -> Bool) -> Bool {
    while true {
      let isOver: Bool? = state.wait(for: Self.lookEvery) { $0.running == 0 ? true : nil }
      if isOver == true { return !stop.isRaised }
      if mustStop() { stopAll() }
    }
  }

  private func stopAll() {
    stop.raise()
    onStop()
  }
}

/// A task's thread, which is joined when the last reference goes.
private final class TaskThread: Sendable {
  private let thread: PosixThread<Void, Never>

  init(_ thread: consuming PosixThread<Void, Never>) { self.thread = thread }
}
