package import LinuxIO
import MappedRAMFormat

/// A device whose state is saved beside RAM: anything that yields its state as a sequence of buffers.
public protocol DeviceStateSource: Sendable {
  /// Bytes of state, where they are known before; then neither more nor fewer may come.
  var byteCount: UInt64? { get }

  /// Does what can be done while the device still runs, and touches nothing of its state: a save of a VM calls this before it pauses the
  /// VM, and saves from what it gives. That is dropped without having been saved from where the save comes to an end before.
  ///
  /// - Throws: why the state cannot be had; the VM has not been paused then.
  func prepared() throws(DeviceFailure) -> any DeviceStateSource

  /// Puts the whole state into `sink`, buffer by buffer, and returns.
  ///
  /// Called once for a save, on a thread of its own, while RAM and other devices are being saved.
  /// Whatever waits here must not wait for ever: it looks at `sink.stop` as well.
  ///
  /// - Throws: why the state cannot be had; all of the save fails then.
  func save(to sink: DeviceStateSink) throws(DeviceFailure)
}

extension DeviceStateSource {
  /// Not known.
  public var byteCount: UInt64? { nil }

  /// The source itself: nothing can be done before.
  public func prepared() throws(DeviceFailure) -> any DeviceStateSource { self }
}

/// Where a device puts its buffers. For the thread of the device's own task alone.
public final class DeviceStateSink {
  /// Raised when the task is to end.
  package let stop: StopSignal
  /// Bytes that a buffer has at most.
  public var bufferBytes: Int { pool.bufferBytes }
  private let pool: BufferPool
  private let lane: Int
  private var places: BufferPlaces
  private let expected: UInt64?
  private let progress: TransferProgress
  private var byteCount: UInt64 = 0
  private var buffers = NumberedBuffers()
  private var placed = 0

  /// The sink of lane `lane` of `pool`, whose buffers go to `places`. Bytes that are expected have
  /// been planned in `progress`; others are as they come.
  init(
    _ pool: BufferPool, lane: Int, to places: BufferPlaces, expecting byteCount: UInt64?,
    stop: StopSignal, progress: TransferProgress
  ) {
    self.pool = pool
    self.lane = lane
    self.places = places
    self.stop = stop
    self.progress = progress
    expected = byteCount
  }

  /// Puts the next buffer: waits until one is free, and lets `fill` put the bytes into it.
  ///
  /// - Parameters:
  ///   - number: the buffer's number; `nil` for the next one. Numbers may come in any order, but in
  ///     the end each from 0 on has come once.
  ///   - isConfiguration: whether it is the device's configuration, and not its data.
  ///   - fill: gives how many bytes it has put, from the buffer's start on; `nil` for no buffer
  ///     after all.
  /// - Returns: whether there was a buffer.
  /// - Throws: `stopped`; `sequence`; `tooLong`; the errors of `fill`.
  @discardableResult
  public func put(
    number: UInt32? = nil, isConfiguration: Bool = false,
    _ fill: (UnsafeMutableRawBufferPointer) throws(DeviceFailure) -> Int?
  ) throws(DeviceFailure) -> Bool {
    guard let buffer = pool.take(for: lane) else { throw .stopped }
    let filled: Int
    let sum: ContentSum
    do throws(DeviceFailure) {
      // SAFETY: the buffer is this lane's until it is moved or given back.
      guard let count = try unsafe fill(pool.bytes(of: buffer)) else {
        pool.give(buffer, from: lane)
        return false
      }
      filled = count
      precondition((0...bufferBytes).contains(filled), "no more than fits the buffer")
      byteCount += UInt64(filled)
      if let expected, byteCount > expected { throw .tooLong(expected: expected) }
      // SAFETY: as above; the sum is taken before the buffer goes away.
      sum = unsafe ContentSum(
        of: UnsafeRawBufferPointer(rebasing: pool.bytes(of: buffer)[..<filled]))
    } catch {
      pool.give(buffer, from: lane)
      throw error
    }
    try send(
      buffer, byteCount: filled, sum, number: number, isConfiguration: isConfiguration)
    return true
  }

  /// Gives a buffer its place and sends it there.
  private func send(
    _ buffer: Int, byteCount: Int, _ sum: ContentSum, number: UInt32?, isConfiguration: Bool
  ) throws(DeviceFailure) {
    let offset: FileOffset
    do throws(ImageError) {
      offset = try places.next(placed, byteCount: byteCount)
    } catch {
      // Not this device's fault: the file cannot be made longer.
      pool.inlet.fail(error)
      throw .stopped
    }
    placed += 1
    pool.move(buffer, byteCount: byteCount, at: offset, for: lane)
    if expected == nil { progress.plan(UInt64(byteCount)) }
    let next = buffers.nextNumber
    do throws(SequenceProblem) {
      if case .adjoining = places, let number, number > next { throw .numberMissing(next) }
      try buffers.insert(
        StoredBuffer(
          offset: offset, byteCount: ByteCount(byteCount), isConfiguration: isConfiguration,
          sum: sum),
        number: number ?? next)
    } catch {
      throw .sequence(error)
    }
  }

  /// Checks that all has come. Returns the buffers in their order, of which there is at least one.
  func finish() throws(DeviceFailure) -> [StoredBuffer] {
    if let expected, byteCount < expected {
      throw .endedEarly(found: byteCount, expected: expected)
    }
    // A device without any state has one buffer without bytes, so that there is a last one.
    if buffers.nextNumber == 0 { unsafe try put { _ in 0 } }
    pool.close(lane)
    do throws(SequenceProblem) {
      return try buffers.complete()
    } catch {
      throw .sequence(error)
    }
  }
}
