public import LinuxIO

/// A device that takes its state back: buffers strictly in the order of their numbers.
public protocol DeviceStateTarget: Sendable {
  /// Whether it is loaded only once all RAM and all other devices are in.
  var loadsLast: Bool { get }

  /// Takes the whole state from `feed`, buffer by buffer, and returns once the device has it.
  ///
  /// Called once for a restore, on a thread of its own. Whatever waits here must not wait for ever: it looks at `feed.stop` as well.
  ///
  /// - Throws: why the device cannot take it; all of the restore fails then.
  func load(from feed: DeviceStateFeed) throws(DeviceFailure)
}

extension DeviceStateTarget {
  /// At any time.
  public var loadsLast: Bool { false }
}

/// What is known of a buffer that a device is handed.
public struct DeviceBuffer: Equatable, Sendable {
  /// Its number, from 0.
  public var number: UInt32
  /// Whether it is the device's configuration, and not its data.
  public var isConfiguration: Bool
  /// Whether no other follows.
  public var isLast: Bool
}

/// Where a device gets its buffers from. For the thread of the device's own task alone.
public final class DeviceStateFeed {
  /// Raised when the task is to end.
  public let stop: StopSignal
  /// Bytes of state in all buffers.
  public let byteCount: UInt64
  /// Buffers in all.
  public let bufferCount: Int
  private var lane: any DeviceLoadLane
  private var number = 0

  init(_ lane: any DeviceLoadLane, stop: StopSignal) {
    self.lane = lane
    self.stop = stop
    byteCount = lane.byteCount
    bufferCount = lane.bufferCount
  }

  /// Hands the next buffer to `body`, once it has been read. The bytes are there for the time of the call.
  ///
  /// - Returns: false where there was none left.
  /// - Throws: `stopped`; the errors of `body`.
  public func next(
    _ body: (DeviceBuffer, UnsafeRawBufferPointer) throws(DeviceFailure) -> Void
  ) throws(DeviceFailure) -> Bool {
    guard number < bufferCount else { return false }
    guard let buffer = lane.next() else { throw .stopped }
    defer { lane.give(buffer.index) }
    let told = DeviceBuffer(
      number: UInt32(number), isConfiguration: buffer.isConfiguration,
      isLast: number == bufferCount - 1)
    number += 1
    // SAFETY: the buffer is this lane's until it is given back.
    try unsafe body(told, lane.bytes(of: buffer))
    return true
  }

  /// Checks that all was taken.
  func finish() throws(DeviceFailure) {
    guard number == bufferCount else { throw .notAllTaken(buffers: number, of: bufferCount) }
    lane.finish()
  }
}

/// A full buffer.
struct FullBuffer {
  var index: Int
  var byteCount: Int
  var isConfiguration: Bool
}

/// What a device's task sees of the way that its buffers come.
protocol DeviceLoadLane {
  /// Bytes in all buffers.
  var byteCount: UInt64 { get }
  /// Buffers in all.
  var bufferCount: Int { get }
  /// The next buffer, full; waits for it. `nil` where all is to stop.
  mutating func next() -> FullBuffer?
  /// The memory of a buffer.
  @unsafe func bytes(of buffer: FullBuffer) -> UnsafeRawBufferPointer
  /// Takes a buffer back.
  func give(_ buffer: Int)
  /// Notes that no more buffers are wanted.
  func finish()
}
