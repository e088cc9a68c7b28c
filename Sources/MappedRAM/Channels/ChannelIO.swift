import Glibc
import LinuxIO
import SystemPackage
import URing

/// What a channel does its I/O with: a ring, or plain positioned calls.
///
/// Requests are made, then waited for; each ends in one completion with the tag that it was given. Completions come in any
/// order and may be short.
protocol ChannelIO: ~Copyable {
  /// The most requests that may be under way.
  var capacity: Int { get }
  /// Requests made whose completions have not been handed out.
  var inFlight: Int { get }

  /// Begins to read from `offset` of `file`.
  ///
  /// - Precondition: fewer than `capacity` requests are under way, and the buffer stays until the completion.
  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int)

  /// Begins to write to `offset` of `file`; as `read`.
  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int)

  /// Lets what was made begin, without waiting.
  mutating func submit() throws(SystemCallError)

  /// Waits until at least one request is complete, if any is under way.
  mutating func wait() throws(SystemCallError)

  /// The next completion that is there, or `nil`.
  mutating func nextCompletion() -> IOCompletion?

  /// Ends the I/O. When this returns, nothing touches the memory of any request, completed or not.
  consuming func close()
}

/// The end of a request.
struct IOCompletion: Equatable, Sendable {
  /// What the request was given.
  var tag: Int
  /// Bytes moved, or a negated errno.
  var result: Int

  /// Whether it is no more than that the request was interrupted, or came at a bad time.
  var isToBeMadeAgain: Bool {
    result == -Int(Errno.interrupted.rawValue)
      || result == -Int(Errno.resourceTemporarilyUnavailable.rawValue)
  }
}

// MARK: The ring

/// A channel's I/O through a ring.
struct RingIO: ChannelIO, ~Copyable {
  private var ring: Ring
  let capacity: Int

  /// Makes a ring for `capacity` requests and registers `arena` with it, if the kernel lets us pin that much.
  init(
    capacity: Int, arena: UnsafeMutableRawBufferPointer, notes: ChannelNotes
  ) throws(SystemCallError) {
    var ring = try Ring(entries: capacity)
    do throws(SystemCallError) {
      try unsafe ring.registerBuffer(arena)
    } catch {
      notes.add(.buffersNotRegistered(error))
    }
    self.ring = ring
    self.capacity = capacity
  }

  var inFlight: Int { ring.inFlight }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: UnsafeRawBufferPointer(buffer), at: offset)
    unsafe ring.prepareRead(
      descriptor: descriptor, into: buffer, offset: offset, tag: UInt64(tag))
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: buffer, at: offset)
    unsafe ring.prepareWrite(
      descriptor: descriptor, from: buffer, offset: offset, tag: UInt64(tag))
  }

  mutating func submit() throws(SystemCallError) { try ring.submitAndWait(minimum: 0) }

  mutating func wait() throws(SystemCallError) { try ring.submitAndWait(minimum: 1) }

  mutating func nextCompletion() -> IOCompletion? {
    ring.nextCompletion().map { IOCompletion(tag: Int($0.tag), result: Int($0.result)) }
  }

  consuming func close() { ring.close() }
}

// MARK: Positioned calls

/// A channel's I/O through pread and pwrite: each request is carried out when it is made.
struct PositionedIO: ChannelIO, ~Copyable {
  let capacity: Int
  /// The oldest first, so that what was read early is not left behind by what is read next.
  private var completions: [IOCompletion] = []

  init(capacity: Int) {
    self.capacity = capacity
    completions.reserveCapacity(capacity)
  }

  var inFlight: Int { completions.count }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: UnsafeRawBufferPointer(buffer), at: offset)
    // SAFETY: the buffer is the caller's, and the call is over when this returns.
    let result = unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    complete(tag, result)
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    let descriptor = unsafe file.descriptor(for: buffer, at: offset)
    // SAFETY: as in `read`.
    let result = unsafe pwrite(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    complete(tag, result)
  }

  private mutating func complete(_ tag: Int, _ result: Int) {
    completions.append(IOCompletion(tag: tag, result: result < 0 ? -Int(errno) : result))
  }

  mutating func submit() throws(SystemCallError) {}

  mutating func wait() throws(SystemCallError) {}

  mutating func nextCompletion() -> IOCompletion? {
    completions.isEmpty ? nil : completions.removeFirst()
  }

  /// Each request was over when it was made.
  consuming func close() {}
}

// MARK: Measured I/O

/// A channel's I/O of another kind, with the time that each request takes.
///
/// The time is taken right before a request is made and when its completion is handed out: what a channel waits for, not what
/// the disk needs.
struct TimedIO<IO: ChannelIO & ~Copyable>: ChannelIO, ~Copyable {
  private var io: IO
  private let observer: any ChannelObserver
  /// By tag: what was begun, and when.
  private var begun: [(isRead: Bool, time: UInt64)]

  init(_ io: consuming IO, _ observer: any ChannelObserver) {
    begun = Array(repeating: (false, 0), count: io.capacity)
    self.io = io
    self.observer = observer
  }

  var capacity: Int { io.capacity }
  var inFlight: Int { io.inFlight }

  mutating func read(
    _ file: File, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    begun[tag] = (true, nanosecondsNow())
    unsafe io.read(file, into: buffer, at: offset, tag: tag)
  }

  mutating func write(
    _ file: File, from buffer: UnsafeRawBufferPointer, at offset: UInt64, tag: Int
  ) {
    begun[tag] = (false, nanosecondsNow())
    unsafe io.write(file, from: buffer, at: offset, tag: tag)
  }

  mutating func submit() throws(SystemCallError) { try io.submit() }

  mutating func wait() throws(SystemCallError) { try io.wait() }

  mutating func nextCompletion() -> IOCompletion? {
    guard let completion = io.nextCompletion() else { return nil }
    let request = begun[completion.tag]
    observer.finished(isRead: request.isRead, nanoseconds: nanosecondsNow() - request.time)
    return completion
  }

  consuming func close() { io.close() }
}

/// The time of CLOCK_MONOTONIC. Some 20 ns.
private func nanosecondsNow() -> UInt64 {
  var now = timespec()
  // SAFETY: `now` is filled and not kept.
  unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}
