package import LinuxIO
import MappedRAMFormat

/// A device that takes its state back: buffers strictly in the order of their numbers.
public protocol DeviceStateTarget: Sendable {
  /// Whether it is loaded only once all RAM and all other devices are in.
  var loadsLast: Bool { get }

  /// Does what can be done before there are bytes of the state: a restore calls this for all devices, and then loads into what they give.
  /// That is dropped without having been loaded into where the restore comes to an end before.
  ///
  /// - Throws: why the device cannot take its state.
  func prepared() throws(DeviceFailure) -> any DeviceStateTarget

  /// Takes the whole state from `feed`, buffer by buffer, and returns once the device has it.
  ///
  /// Called once for a restore, on a thread of its own. Whatever waits here must not wait for ever:
  /// it looks at `feed.stop` as well.
  ///
  /// - Throws: why the device cannot take it; all of the restore fails then.
  func load(from feed: DeviceStateFeed) throws(DeviceFailure)
}

extension DeviceStateTarget {
  /// At any time.
  public var loadsLast: Bool { false }

  /// The target itself: nothing can be done before.
  public func prepared() throws(DeviceFailure) -> any DeviceStateTarget { self }
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

/// Where a device gets its buffers from, strictly in their order, while the next ones are being
/// read. For the thread of the device's own task alone.
public final class DeviceStateFeed {
  /// Raised when the task is to end.
  package let stop: StopSignal
  /// Bytes of state in all buffers.
  public let byteCount: UInt64
  /// Buffers in all.
  public var bufferCount: Int { buffers.count }
  private let pool: BufferPool
  private let lane: Int
  private let buffers: [StoredBuffer]
  /// Buffers of the pool that have been asked for and not handed out, the next one first.
  private var ahead: [Int] = []
  private var requested = 0
  private var handedOut = 0

  /// The feed of `device`, by lane `lane` of `pool`.
  init(_ device: StoredDevice, from pool: BufferPool, lane: Int, stop: StopSignal) {
    self.pool = pool
    self.lane = lane
    self.stop = stop
    buffers = device.buffers
    byteCount = device.byteCount.rawValue
  }

  /// Hands the next buffer to `body`, once it has been read. The bytes are there for the time of the
  /// call.
  ///
  /// - Returns: false where there was none left.
  /// - Throws: `damaged`, where the bytes are not those that were saved; `stopped`; the errors of `body`.
  public func next(
    _ body: (DeviceBuffer, UnsafeRawBufferPointer) throws(DeviceFailure) -> Void
  ) throws(DeviceFailure) -> Bool {
    guard handedOut < buffers.count else { return false }
    while requested < buffers.count, let buffer = pool.takeIfFree(for: lane) { request(buffer) }
    if ahead.isEmpty {
      guard let buffer = pool.take(for: lane) else { throw .stopped }
      request(buffer)
    }
    let buffer = ahead.removeFirst()
    guard pool.waitUntilFull(buffer) else { throw .stopped }
    defer { pool.give(buffer, from: lane) }
    let stored = buffers[handedOut]
    let known = DeviceBuffer(
      number: UInt32(handedOut), isConfiguration: stored.isConfiguration,
      isLast: handedOut == buffers.count - 1)
    handedOut += 1
    // SAFETY: the buffer is this lane's until it is given back.
    let memory = unsafe pool.bytes(of: buffer)[..<Int(stored.byteCount.rawValue)]
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: memory)
    guard unsafe ContentSum(of: bytes) == stored.sum else {
      throw .damaged(buffer: known.number, at: stored.offset.rawValue)
    }
    try unsafe body(known, bytes)
    return true
  }

  /// Asks for the next bytes that have not been asked for, into `buffer`.
  private func request(_ buffer: Int) {
    let stored = buffers[requested]
    pool.move(buffer, byteCount: Int(stored.byteCount.rawValue), at: stored.offset, for: lane)
    ahead.append(buffer)
    requested += 1
  }

  /// Checks that all was taken.
  func finish() throws(DeviceFailure) {
    guard handedOut == buffers.count else {
      throw .notAllTaken(buffers: handedOut, of: buffers.count)
    }
    pool.close(lane)
  }
}
