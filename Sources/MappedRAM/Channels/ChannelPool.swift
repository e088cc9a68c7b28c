import LinuxIO

/// The channels of one save or restore: starts them, hands them work, waits for them, ends them.
///
/// All calls are made by one thread, the coordinating one. A pool that goes away stops its channels and joins them.
struct ChannelPool: ~Copyable {
  private let queue: WorkQueue
  private let counters: ChannelCounters
  private let notes: ChannelNotes
  private var threads: [JoinedThread] = []

  /// Starts the channels with what `options` ask for, falling back to positioned calls where that cannot be had.
  ///
  /// - Parameters:
  ///   - extentBytes: the size of the largest extent that transfers will have.
  ///   - factory: makes the channels' I/O in place of what `options` ask for; for tests.
  init(
    _ options: ChannelOptions, extentBytes: Int, factory: (any ChannelIOFactory)? = nil,
    progress: TransferProgress, cancellation: Cancellation
  ) throws(ImageError) {
    let notes = ChannelNotes()
    let factory = factory ?? options.method.factory
    let queue = WorkQueue(cancellation: cancellation)
    let counters = ChannelCounters(progress: progress)
    self.queue = queue
    self.counters = counters
    self.notes = notes
    let shape = ChannelShape(options, extentBytes: extentBytes)
    let limit = options.bytesPerSecond.map { BandwidthLimit(bytesPerSecond: $0) }
    for number in 0..<options.channels {
      do throws(SystemCallError) {
        let thread = try PosixThread(name: "channel \(number)") {
          Self.runThread(
            shape, limit, options.ioPriority, factory: factory, notes: notes, queue: queue,
            counters: counters)
        }
        threads.append(JoinedThread(thread))
      } catch {
        // The threads that did start must not wait for work: they are joined as this goes.
        queue.fail(.system(error))
        throw .system(error)
      }
    }
  }

  /// The body of a channel's thread.
  private static func runThread(
    _ shape: ChannelShape, _ limit: BandwidthLimit?, _ priority: IOPriority?,
    factory: any ChannelIOFactory, notes: ChannelNotes, queue: WorkQueue, counters: ChannelCounters
  ) {
    do throws(SystemCallError) {
      try priority?.applyToThread()
      let arena = try AlignedBuffer(byteCount: shape.arenaBytes)
      // SAFETY: the buffer is kept until this is over; the I/O is gone when the channel has run.
      let parts = unsafe ChannelParts(
        arena: arena.bytes, shape: shape, limit: limit, queue: queue, counters: counters,
        notes: notes)
      do throws(SystemCallError) {
        try factory.runChannel(parts)
      } catch {
        notes.add(.ioUringRefused(error))
        parts.runChannel(PositionedIO(capacity: shape.queueDepth))
      }
      withExtendedLifetime(arena) {}
    } catch {
      queue.fail(.system(error))
    }
  }

  /// Queues a transfer; its extents are taken up at once.
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

/// A thread that is joined when the last reference goes. (An array cannot hold what cannot be copied.)
final class JoinedThread: Sendable {
  private let thread: PosixThread<Void, Never>

  init(_ thread: consuming PosixThread<Void, Never>) { self.thread = thread }
}
