import LinuxIO
import SystemPackage

/// One worker: claims extents, reads them, asks their transfer what to write, writes that.
///
/// It runs on a thread of its own and owns its I/O and its buffers; nothing but the work queue, the
/// counters and the limit of bandwidth is shared. Several extents are under way at once, each in a buffer of its own, which
/// is reading, then writing, then free.
struct Channel<IO: ChannelIO & ~Copyable>: ~Copyable {
  private var io: IO
  private var buffers: [ChannelBuffer]
  private var requests: RequestTable
  private let queue: WorkQueue
  private let counters: ChannelCounters
  private let requestBytes: Int
  /// What all channels together may move out of files or into them.
  private let limit: BandwidthLimit?
  private var isStopping = false
  /// Whether the I/O itself failed, so that no completion can be waited for.
  private var isBroken = false
  /// What came while a limit held the channel up, in its order.
  private var waiting: [IOCompletion] = []

  /// How long a channel sleeps before it looks again whether to stop.
  private static var nap: Duration { .milliseconds(50) }

  /// A channel with as many extents in memory at once as `shape` says.
  ///
  /// - Precondition: `arena` has room for them, and outlives the channel.
  init(
    io: consuming IO, arena: UnsafeMutableRawBufferPointer, shape: ChannelShape,
    limit: BandwidthLimit? = nil, queue: WorkQueue, counters: ChannelCounters
  ) {
    precondition(arena.count >= shape.arenaBytes, "memory for each buffer")
    let extentBytes = shape.extentBytes
    buffers = (0..<shape.bufferCount).map { index in
      unsafe ChannelBuffer(
        memory: UnsafeMutableRawBufferPointer(
          rebasing: arena[(index * extentBytes)..<((index + 1) * extentBytes)]))
    }
    requestBytes = shape.requestBytes
    self.limit = limit
    requests = RequestTable(capacity: io.capacity)
    self.io = io
    self.queue = queue
    self.counters = counters
  }

  /// Works until the queue is closed and empty, or any channel has failed.
  ///
  /// Errors go to the queue. When this returns, no claim is held and nothing is under way.
  consuming func run() {
    work()
    // Where the I/O itself is broken, requests are still under way, and only its end waits for
    // them. The claims keep what they read from and write to until then.
    var claims = buffers.compactMap(\.claim)
    buffers = []
    let queue = queue
    io.close()
    let count = claims.count
    claims = []
    if count > 0 { queue.finished(count) }
  }

  /// Works until there is no more to do, or to wait for.
  private mutating func work() {
    while true {
      if !isStopping, queue.mustStop() { isStopping = true }
      let isDone = isStopping ? false : fillBuffers()
      if !isStopping { issueRequests() }
      if underWay > 0, !isBroken {
        awaitCompletions()
      } else if isStopping || isDone && buffers.allSatisfy(\.isFree) {
        return
      }
    }
  }

  // MARK: Claiming

  /// Claims extents for the free buffers. Returns whether no more work will come.
  ///
  /// An extent of which nothing has to be written leaves its buffer free, and in the processor's
  /// cache: the next one takes the same.
  private mutating func fillBuffers() -> Bool {
    var left = buffers.count
    for index in buffers.indices {
      while buffers[index].isFree, left > 0 {
        left -= 1
        let isIdle = underWay == 0 && buffers.allSatisfy(\.isFree)
        switch queue.claim(wait: isIdle) {
        case .claim(let claim):
          beginReading(claim, in: index)
          if isStopping { return false }
          if buffers[index].phase == .writing { submitRequests() }
          if isStopping { return false }
        case .nothingYet:
          return false
        case .closed:
          return true
        }
      }
    }
    return false
  }

  // MARK: Reading

  private mutating func beginReading(_ claim: WorkQueue.Claim, in index: Int) {
    buffers[index].begin(claim)
    do throws(SystemCallError) {
      try claim.transfer.chooseReads(of: buffers[index].extent, into: &buffers[index].runs)
      switch claim.transfer.source {
      case .file:
        if let limit {
          wait(until: limit.take(buffers[index].runBytes))
          if isStopping { return }
        }
      case .mapping(let mapping):
        buffers[index].point(into: mapping)
        if mapping.isShared {
          for range in buffers[index].sourceRanges { try mapping.populate(range) }
        }
        buffers[index].skipRuns()
      case .copy(let source):
        let buffer = buffers[index]
        for run in buffer.runs {
          try unsafe source.copy(
            into: buffer.bytes(of: run), from: buffer.extent.sourceOffset + UInt64(run.lowerBound))
          counters.moved(run.count, isRead: true)
        }
        buffers[index].skipRuns()
      }
    } catch {
      stop(.system(error))
      return
    }
    if !buffers[index].hasRunsLeft { beginWriting(index) }
  }

  // MARK: Writing

  private mutating func beginWriting(_ index: Int) {
    guard let claim = buffers[index].claim else { preconditionFailure("an extent in the buffer") }
    buffers[index].turnToWriting()
    unsafe claim.transfer.chooseWrites(
      of: buffers[index].extent, in: buffers[index].extentBytes, read: buffers[index].read,
      into: &buffers[index].runs)
    // What was read from a file was taken from the channels' limit before it was read.
    let ofChannels = claim.transfer.source.isFile ? nil : limit
    if let limit = claim.transfer.limit ?? ofChannels {
      wait(until: limit.take(buffers[index].runBytes))
      if isStopping { return }
    }
    if case .copy(let target) = claim.transfer.target {
      let buffer = buffers[index]
      do throws(SystemCallError) {
        for run in buffer.runs {
          try unsafe target.copy(
            from: UnsafeRawBufferPointer(buffer.bytes(of: run)),
            to: buffer.extent.targetOffset + UInt64(run.lowerBound))
          counters.moved(run.count, isRead: false)
        }
      } catch {
        stop(.system(error))
        return
      }
      buffers[index].skipRuns()
    }
    if !buffers[index].hasRunsLeft { finish(index) }
  }

  /// Waits until `time`, or until work is to stop, as when a request that is under way fails.
  private mutating func wait(until time: ContinuousClock.Instant) {
    while !isStopping {
      if queue.mustStop() { return isStopping = true }
      let rest = time - .now
      guard rest > .zero else { return }
      do throws(SystemCallError) {
        try io.submit()
      } catch {
        isBroken = true
        return stop(.system(error))
      }
      while let completion = io.nextCompletion() {
        waiting.append(completion)
        if let error = failure(of: completion) { return stop(error) }
      }
      sleep(for: min(rest, Self.nap))
    }
  }

  private mutating func finish(_ index: Int) {
    let extent = buffers[index].extent
    if case .mapping(let mapping)? = buffers[index].claim?.transfer.source, mapping.isShared {
      let start = Int(extent.sourceOffset)
      do throws(SystemCallError) {
        try mapping.release(start..<(start + extent.byteCount))
      } catch {
        stop(.system(error))
        return
      }
    }
    counters.finish(extent.byteCount)
    buffers[index].claim?.transfer.finished(extent)
    buffers[index].claim = nil
    queue.finished()
  }

  // MARK: Requests

  /// Requests made that have not been handled.
  private var underWay: Int { io.inFlight + waiting.count }

  /// Makes requests for the runs of all buffers, as far as there is room.
  private mutating func issueRequests() {
    for index in buffers.indices {
      while buffers[index].hasRunsLeft {
        guard underWay < io.capacity else { return }
        let run = buffers[index].takeRun(limit: requestBytes)
        let isRead = buffers[index].phase == .reading
        issue(
          Request(
            buffer: index, isRead: isRead, rest: run,
            fileOffset: buffers[index].fileOffset + UInt64(run.lowerBound)))
      }
    }
  }

  /// Lets requests begin before the processor does more work: the disk must not wait for that.
  private mutating func submitRequests() {
    issueRequests()
    do throws(SystemCallError) {
      try io.submit()
    } catch {
      isBroken = true
      stop(.system(error))
    }
  }

  private mutating func issue(_ request: Request) {
    guard let file = buffers[request.buffer].file else {
      preconditionFailure("requests are made of files only")
    }
    let tag = requests.insert(request)
    let bytes = unsafe buffers[request.buffer].bytes(of: request.rest)
    let memory = UnsafeRawBufferPointer(bytes)
    if request.isRead {
      unsafe io.read(file, into: bytes, at: request.fileOffset, tag: tag)
    } else {
      unsafe io.write(file, from: memory, at: request.fileOffset, tag: tag)
    }
    unsafe counters.countRequest(isDirect: file.isDirect(for: memory, at: request.fileOffset))
  }

  private mutating func awaitCompletions() {
    if waiting.isEmpty {
      do throws(SystemCallError) {
        try io.wait()
      } catch {
        isBroken = true
        stop(.system(error))
      }
    }
    // No more than were under way: requests that are made again at once must not keep the channel
    // from looking whether to stop.
    for _ in 0..<io.capacity {
      guard let completion = waiting.isEmpty ? io.nextCompletion() : waiting.removeFirst()
      else { return }
      // What was read has been looked at, and maybe copied: the next requests first.
      if handle(completion) { return }
    }
  }

  /// Continues with an extent. Returns whether that took long, since all of it had been read.
  private mutating func handle(_ completion: IOCompletion) -> Bool {
    let failure = isStopping ? nil : failure(of: completion)
    var request = requests.remove(completion.tag)
    guard !isStopping else { return false }
    if let failure {
      stop(failure)
    } else if completion.isToBeMadeAgain {
      issue(request)
    } else {
      precondition(completion.result <= request.rest.count, "no more than was asked for")
      counters.moved(completion.result, isRead: request.isRead)
      request.advance(by: completion.result)
      if !request.rest.isEmpty {
        issue(request)
      } else if buffers[request.buffer].endRequest() {
        if buffers[request.buffer].phase == .reading {
          beginWriting(request.buffer)
          return true
        }
        finish(request.buffer)
      }
    }
    return false
  }

  /// The error that a completion is, if it is one.
  private func failure(of completion: IOCompletion) -> ImageError? {
    guard completion.result <= 0, !completion.isToBeMadeAgain else { return nil }
    let request = requests[completion.tag]
    guard let file = buffers[request.buffer].file else {
      preconditionFailure("requests are made of files only")
    }
    if completion.result < 0 {
      return .system(request.error(Errno(rawValue: CInt(-completion.result)), file: file))
    }
    return request.isRead
      ? .endedEarly(file.path, at: request.fileOffset)
      : .system(request.error(.ioError, file: file))
  }

  // MARK: Stopping

  private mutating func stop(_ error: ImageError) {
    isStopping = true
    queue.fail(error)
  }
}
