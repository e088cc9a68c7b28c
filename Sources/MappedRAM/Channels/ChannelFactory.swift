import Glibc
import LinuxIO
import SystemPackage
import URing

/// Makes the I/O of a channel, on the channel's own thread.
protocol ChannelIOFactory: Sendable {
  /// Makes the I/O that `parts` ask for, and runs a channel of both to its end.
  ///
  /// - Throws: where the I/O cannot be made; nothing has run then.
  func runChannel(_ parts: ChannelParts) throws(SystemCallError)
}

/// What a channel is made of, besides its I/O.
@safe
struct ChannelParts {
  let arena: UnsafeMutableRawBufferPointer
  let shape: ChannelShape
  /// What all channels together may move.
  let limit: BandwidthLimit?
  let queue: WorkQueue
  let counters: ChannelCounters
  /// Where the channel cannot work as it was asked to.
  let notes: ChannelNotes

  /// Runs a channel of them and of `io` until there is no more to do.
  func runChannel<IO: ChannelIO & ~Copyable>(_ io: consuming IO) {
    let channel = unsafe Channel(
      io: io, arena: arena, shape: shape, limit: limit, queue: queue, counters: counters)
    channel.run()
  }
}

/// Makes rings.
struct RingFactory: ChannelIOFactory {
  func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
    let io = try unsafe RingIO(
      capacity: parts.shape.queueDepth, arena: parts.arena, notes: parts.notes)
    parts.runChannel(io)
  }
}

extension ChannelOptions.IOMethod {
  var factory: any ChannelIOFactory {
    switch self {
    case .ioUring: RingFactory()
    case .sync: PositionedFactory()
    }
  }
}

/// Makes positioned I/O.
struct PositionedFactory: ChannelIOFactory {
  func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
    parts.runChannel(PositionedIO(capacity: parts.shape.queueDepth))
  }
}

/// Makes the I/O that `method` asks for, timed.
struct TimedFactory: ChannelIOFactory {
  let method: ChannelOptions.IOMethod
  let observer: any RequestObserver

  init(_ method: ChannelOptions.IOMethod, _ observer: any RequestObserver) {
    self.method = method
    self.observer = observer
  }

  func runChannel(_ parts: ChannelParts) throws(SystemCallError) {
    switch method {
    case .ioUring:
      let io = try unsafe RingIO(
        capacity: parts.shape.queueDepth, arena: parts.arena, notes: parts.notes)
      parts.runChannel(TimedIO(io, observer.channel()))
    case .sync:
      parts.runChannel(TimedIO(PositionedIO(capacity: parts.shape.queueDepth), observer.channel()))
    }
  }
}
