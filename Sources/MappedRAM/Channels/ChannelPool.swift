import LinuxIO

/// The channels of one save or restore: starts them, hands them work, waits for them, ends them.
///
/// All calls are made by one thread, the coordinating one. A pool that goes away stops its channels and joins them.
struct ChannelPool: ~Copyable {
  private let queue: WorkQueue
  private let counters: ChannelCounters
  private let notes: ChannelNotes
  private var threads: [ChannelThread] = []

  /// Starts the channels with what `options` ask for, falling back to positioned calls where that cannot be had.
  ///
  /// - Parameters:
  ///   - pieceBytes: the size of the largest piece that transfers will have.
  ///   - factory: makes the channels' I/O in place of what `options` ask for; for tests.
  init(
    _ options: ChannelOptions, pieceBytes: Int, factory: (any ChannelIOFactory)? = nil,
    progress: Progress, cancellation: Cancellation
  ) throws(ImageError) {
    let notes = ChannelNotes()
    let factory = factory ?? options.method.factory(notes)
    let queue = WorkQueue(cancellation: cancellation)
    let counters = ChannelCounters(progress: progress)
    self.queue = queue
    self.counters = counters
    self.notes = notes
    let shape = ChannelShape(options, pieceBytes: pieceBytes)
    for number in 0..<options.channels {
      do throws(SystemCallError) {
        let thread = try PosixThread(name: "channel \(number)") {
          Self.work(shape, factory: factory, notes: notes, queue: queue, counters: counters)
        }
        threads.append(ChannelThread(thread))
      } catch {
        // The threads that did start must not wait for work: they are joined as this goes.
        queue.fail(.system(error))
        throw .system(error)
      }
    }
  }

  /// The body of a channel's thread.
  private static func work(
    _ shape: ChannelShape, factory: any ChannelIOFactory, notes: ChannelNotes,
    queue: WorkQueue, counters: ChannelCounters
  ) {
    do throws(SystemCallError) {
      let arena = try AlignedBuffer(byteCount: shape.arenaBytes)
      // SAFETY: the buffer is used once more below, so it is there while the work runs; the I/O is gone when it returns.
      let work = unsafe ChannelWork(
        arena: arena.bytes, shape: shape, queue: queue, counters: counters)
      do throws(SystemCallError) {
        try factory.perform(work)
      } catch {
        notes.add(.ioUringRefused(error))
        work.run(PositionedIO(capacity: shape.queueDepth))
      }
      precondition(arena.byteCount == shape.arenaBytes, "the buffer outlives the work")
    } catch {
      queue.fail(.system(error))
    }
  }

  /// Queues a transfer; its pieces are taken up at once.
  func enqueue(_ transfer: some Transfer) {
    if case .file(let file, _) = transfer.source { notes.add(file) }
    if case .file(let file, _) = transfer.target { notes.add(file) }
    queue.append(transfer)
  }

  /// The way in for other threads, which may hold it as long as they like.
  var inlet: WorkInlet { WorkInlet(queue: queue) }

  /// Waits until all that was queued is done. May be called any number of times.
  ///
  /// - Throws: the first error of any channel.
  func sync() throws(ImageError) { try queue.sync() }

  /// Waits for all work and ends the channels.
  ///
  /// - Throws: the first error of any channel.
  mutating func finish() throws(ImageError) -> ChannelReport {
    try queue.sync()
    queue.close()
    threads.removeAll()
    return ChannelReport(totals: counters.totals, notes: notes.all)
  }

  /// Stops what is still running; each thread is joined as it goes.
  deinit { if !threads.isEmpty { queue.fail(.cancelled) } }
}

/// A channel's thread, which is joined when the last reference goes. (An array cannot hold what cannot be copied.)
private final class ChannelThread: Sendable {
  private let thread: PosixThread<Void, Never>

  init(_ thread: consuming PosixThread<Void, Never>) { self.thread = thread }
}

/// The way by which other threads than the coordinating one give channels work, and stop them.
struct WorkInlet: Sendable {
  fileprivate let queue: WorkQueue

  /// Queues a transfer that holds memory until it is done: it is taken before all that only waits for its turn.
  ///
  /// After a failure it is dropped.
  func enqueue(_ transfer: any Transfer) { queue.append(transfer, isUrgent: true) }

  /// Stops all channels; the first error is the one that is reported.
  func fail(_ error: ImageError) { queue.fail(error) }

  /// Whether work is to stop: somebody has failed, or a stop was asked for.
  func mustStop() -> Bool { queue.mustStop() }
}

/// What the channels did, and how.
public struct ChannelReport: Equatable, Sendable {
  /// Bytes and requests.
  public var totals: TransferTotals
  /// Where they could not work as they were asked to.
  public var notes: [ChannelNote]

  /// That of no channel.
  static let idle = ChannelReport(
    totals: TransferTotals(
      bytesRead: 0, bytesWritten: 0, directRequests: 0, bufferedRequests: 0),
    notes: [])
}

/// What a channel is made of, besides its I/O.
@safe
struct ChannelWork {
  let arena: UnsafeMutableRawBufferPointer
  let shape: ChannelShape
  let queue: WorkQueue
  let counters: ChannelCounters

  /// Works with `io` until there is no more to do.
  func run<IO: ChannelIO & ~Copyable>(_ io: consuming IO) {
    let channel = unsafe Channel(
      io: io, arena: arena, shape: shape, queue: queue, counters: counters)
    channel.run()
  }
}

/// Makes rings.
struct RingFactory: ChannelIOFactory {
  let notes: ChannelNotes

  func perform(_ work: ChannelWork) throws(SystemCallError) {
    let io = try unsafe RingIO(
      capacity: work.shape.queueDepth, arena: work.arena, notes: notes)
    work.run(io)
  }
}

extension ChannelOptions.IOMethod {
  fileprivate func factory(_ notes: ChannelNotes) -> any ChannelIOFactory {
    switch self {
    case .ioUring: RingFactory(notes: notes)
    case .sync: PositionedFactory()
    }
  }
}

/// Makes positioned I/O.
struct PositionedFactory: ChannelIOFactory {
  func perform(_ work: ChannelWork) throws(SystemCallError) {
    work.run(PositionedIO(capacity: work.shape.queueDepth))
  }
}
