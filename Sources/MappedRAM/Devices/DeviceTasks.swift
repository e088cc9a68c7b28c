public import LinuxIO
public import LinuxProcesses
import MappedRAMFormat

/// The tasks of devices: each on a thread of its own, which the engine owns, with a lane of one pool
/// of buffers. The first that fails stops all.
///
/// All calls are made by one thread, the coordinating one. Tasks that go away are stopped and joined.
struct DeviceTasks: ~Copyable {
  /// What tells tasks to end.
  let stop: StopSignal
  /// Their buffers.
  let pool: BufferPool
  private let running = Monitor(0)
  private var threads: [JoinedThread] = []

  /// How often a waiting coordinator looks whether somebody else has failed or asked for a stop.
  static let lookEvery = Duration.milliseconds(20)

  /// No tasks yet.
  init(_ pool: BufferPool) throws(ImageError) {
    stop = try calling { () throws(SystemCallError) in try StopSignal() }
    self.pool = pool
  }

  deinit { stopAll() }

  /// Starts a task of `device`.
  mutating func start(
    _ device: DeviceIdentity, _ body: @escaping @Sendable () throws(DeviceFailure) -> Void
  ) throws(ImageError) {
    let (running, stop, pool) = (running, stop, pool)
    running.withLock { $0 += 1 }
    do throws(SystemCallError) {
      let thread = try PosixThread(name: device.idstr) {
        do throws(DeviceFailure) {
          try body()
        } catch {
          // Whoever was stopped is not the one that failed.
          if error != .stopped {
            pool.inlet.fail(.device(device, error))
            stop.raise()
            pool.stop()
          }
        }
        running.withLock { $0 -= 1 }
      }
      threads.append(JoinedThread(thread))
    } catch {
      running.withLock { $0 -= 1 }
      throw .system(error)
    }
  }

  /// Waits until all tasks are over; they are stopped once work is to stop. Their errors are the
  /// channels'.
  func wait() {
    while true {
      let isOver: Bool? = running.wait(for: Self.lookEvery) { $0 == 0 ? true : nil }
      if isOver == true { return }
      if pool.inlet.mustStop() { stopAll() }
    }
  }

  private func stopAll() {
    stop.raise()
    pool.stop()
  }
}

/// Why the state of a device could not be saved or loaded.
public enum DeviceFailure: Error, Equatable, Sendable {
  /// A system call failed, or a file is not of a kind that can be used.
  case system(SystemCallError)
  /// The state ended before it had as many bytes as were announced.
  case endedEarly(found: UInt64, expected: UInt64)
  /// There are more bytes of state than were announced.
  case tooLong(expected: UInt64)
  /// The numbers of the buffers are not right.
  case sequence(SequenceProblem)
  /// The bytes of a buffer, which stand at this place of the image, are not those that were saved.
  case damaged(buffer: UInt32, at: UInt64)
  /// The device took only some of its buffers.
  case notAllTaken(buffers: Int, of: Int)
  /// A command ended otherwise than with status 0; the last that it wrote to its standard error.
  case command(ChildEnd, message: String)
  /// The device's own code says no, in its own words.
  case refused(String)
  /// All is to stop: somebody else has failed, or a stop was asked for. Not an error of this device.
  case stopped
}

extension DeviceFailure {
  /// Gives the errors of `body` as ones of a device.
  static func system<Value: ~Copyable>(
    _ body: () throws(SystemCallError) -> Value
  ) throws(DeviceFailure) -> Value {
    do throws(SystemCallError) {
      return try body()
    } catch {
      throw .system(error)
    }
  }
}
