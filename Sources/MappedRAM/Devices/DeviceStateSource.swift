public import LinuxIO

/// A device whose state is saved beside RAM: anything that yields its state as a sequence of buffers.
public protocol DeviceStateSource: Sendable {
  /// Bytes of state, where they are known before; then neither more nor fewer may come.
  var byteCount: UInt64? { get }

  /// Puts the whole state into `sink`, buffer by buffer, and returns.
  ///
  /// Called once for a save, on a thread of its own, while RAM and other devices are being saved. Whatever waits here must not wait for
  /// ever: it looks at `sink.stop` as well.
  ///
  /// - Throws: why the state cannot be had; all of the save fails then.
  func save(to sink: DeviceStateSink) throws(DeviceFailure)
}

extension DeviceStateSource {
  /// Not known.
  public var byteCount: UInt64? { nil }
}

/// Where a device puts its buffers. For the thread of the device's own task alone.
public final class DeviceStateSink {
  /// Raised when the task is to end.
  public let stop: StopSignal
  /// Bytes that a buffer has at most.
  public let bufferBytes: Int
  private let lane: any DeviceSaveLane
  private let expected: UInt64?
  private var byteCount: UInt64 = 0

  init(_ lane: any DeviceSaveLane, expecting byteCount: UInt64?, stop: StopSignal) {
    self.lane = lane
    self.stop = stop
    bufferBytes = lane.bufferBytes
    expected = byteCount
  }

  /// Puts the next buffer: waits until one is free, and lets `fill` put the bytes into it.
  ///
  /// - Parameters:
  ///   - number: the buffer's number; `nil` for the next one. Numbers may come in any order, but in the end each from 0 on has come once.
  ///   - isConfiguration: whether it is the device's configuration, and not its data.
  ///   - fill: gives how many bytes it has put, from the buffer's start on; `nil` for no buffer after all.
  /// - Returns: whether there was a buffer.
  /// - Throws: `stopped`; `sequence`; `tooLong`; the errors of `fill`.
  @discardableResult
  public func put(
    number: UInt32? = nil, isConfiguration: Bool = false,
    _ fill: (UnsafeMutableRawBufferPointer) throws(DeviceFailure) -> Int?
  ) throws(DeviceFailure) -> Bool {
    guard let buffer = lane.take() else { throw .stopped }
    let filled: Int?
    do throws(DeviceFailure) {
      // SAFETY: the buffer is this lane's until it is put or given back.
      filled = try unsafe fill(lane.bytes(of: buffer))
    } catch {
      lane.give(buffer)
      throw error
    }
    guard let filled else {
      lane.give(buffer)
      return false
    }
    precondition((0...bufferBytes).contains(filled), "no more than fits the buffer")
    byteCount += UInt64(filled)
    if let expected, byteCount > expected {
      lane.give(buffer)
      throw .tooLong(expected: expected)
    }
    try lane.put(
      buffer, byteCount: filled, number: number, isConfiguration: isConfiguration)
    return true
  }

  /// Checks that all has come.
  func finish() throws(DeviceFailure) {
    if let expected, byteCount < expected {
      throw .endedEarly(found: byteCount, expected: expected)
    }
    try lane.finish()
  }
}

/// What a device's task sees of the way that its buffers go.
protocol DeviceSaveLane {
  /// Bytes in a buffer.
  var bufferBytes: Int { get }
  /// A free buffer; waits for one. `nil` where all is to stop.
  func take() -> Int?
  /// The memory of a buffer.
  @unsafe func bytes(of buffer: Int) -> UnsafeMutableRawBufferPointer
  /// Takes back a buffer that was not filled.
  func give(_ buffer: Int)
  /// Sends a buffer on its way.
  func put(
    _ buffer: Int, byteCount: Int, number: UInt32?, isConfiguration: Bool
  ) throws(DeviceFailure)
  /// Notes that no more buffers come.
  func finish() throws(DeviceFailure)
}
