import Glibc
import LinuxIO

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

/// Makes the I/O that `method` asks for, timed.
struct TimedFactory: ChannelIOFactory {
  let method: ChannelOptions.IOMethod
  let observer: any RequestObserver

  init(_ method: ChannelOptions.IOMethod, _ observer: any RequestObserver) {
    self.method = method
    self.observer = observer
  }

  func perform(_ work: ChannelWork) throws(SystemCallError) {
    switch method {
    case .ioUring:
      // The notes of a pool are not at hand here; a run without this factory has them.
      let io = try unsafe RingIO(
        capacity: work.shape.queueDepth, arena: work.arena, notes: ChannelNotes())
      work.run(TimedIO(io, observer.channel()))
    case .sync:
      work.run(TimedIO(PositionedIO(capacity: work.shape.queueDepth), observer.channel()))
    }
  }
}

/// The time of CLOCK_MONOTONIC. Some 20 ns.
private func nanosecondsNow() -> UInt64 {
  var now = timespec()
  // SAFETY: `now` is filled and not kept.
  unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}
