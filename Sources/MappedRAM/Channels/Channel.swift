import LinuxIO
import SystemPackage

/// One worker: claims pieces, reads them, asks their transfer what to write, writes that.
///
/// It runs on a thread of its own and owns its I/O and its buffers; nothing but the work queue and the counters is shared.
/// Several pieces are under way at once, each in a slot with a buffer of its own. A slot is reading, then writing, then free.
struct Channel<IO: ChannelIO & ~Copyable>: ~Copyable {
  private var io: IO
  private var slots: [Slot]
  private var requests: RequestTable
  private let queue: WorkQueue
  private let counters: ChannelCounters
  private let requestBytes: Int
  private var isStopping = false
  /// Whether the I/O itself failed, so that no completion can be waited for.
  private var isBroken = false
  /// What came while a limit held the channel up, in its order.
  private var waiting: [IOCompletion] = []

  /// How long a channel sleeps before it looks again whether to stop.
  private static var nap: Duration { .milliseconds(50) }

  /// A channel with as many pieces in memory at once as `shape` says.
  ///
  /// - Precondition: `arena` has room for them, and outlives the channel.
  init(
    io: consuming IO, arena: UnsafeMutableRawBufferPointer, shape: ChannelShape,
    queue: WorkQueue, counters: ChannelCounters
  ) {
    precondition(arena.count >= shape.arenaBytes, "a buffer for each slot")
    let pieceBytes = shape.pieceBytes
    slots = (0..<shape.slots).map { index in
      unsafe Slot(
        buffer: UnsafeMutableRawBufferPointer(
          rebasing: arena[(index * pieceBytes)..<((index + 1) * pieceBytes)]))
    }
    requestBytes = shape.requestBytes
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
    // Where the I/O itself is broken, requests are still under way, and only its end waits for them. What they read from
    // and write to is the claims' until then.
    var claims = slots.compactMap(\.claim)
    slots = []
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
      let isDone = isStopping ? false : fillSlots()
      if !isStopping { issueRequests() }
      if underWay > 0, !isBroken {
        awaitCompletions()
      } else if isStopping || isDone && slots.allSatisfy(\.isFree) {
        return
      }
    }
  }

  // MARK: Claiming

  /// Claims pieces for the free slots. Returns whether no more work will come.
  ///
  /// A piece of which nothing has to be written leaves its slot free, and its buffer in the cache: the next one takes the same.
  private mutating func fillSlots() -> Bool {
    var left = slots.count
    for index in slots.indices {
      while slots[index].isFree, left > 0 {
        left -= 1
        let isIdle = underWay == 0 && slots.allSatisfy(\.isFree)
        switch queue.claim(wait: isIdle) {
        case .claim(let claim):
          begin(claim, in: index)
          if isStopping { return false }
          if slots[index].phase == .writing { submitRequests() }
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

  private mutating func begin(_ claim: WorkQueue.Claim, in index: Int) {
    slots[index].begin(claim)
    do throws(SystemCallError) {
      try claim.transfer.chooseReads(of: slots[index].piece, into: &slots[index].parts)
      switch claim.transfer.source {
      case .file:
        break
      case .memory(let mapping):
        slots[index].point(into: mapping)
        if mapping.isShared {
          for range in slots[index].sourceRanges { try mapping.populate(range) }
        }
        slots[index].skipParts()
      case .copy(let source):
        let slot = slots[index]
        for part in slot.parts {
          try unsafe source.copy(
            into: slot.bytes(of: part), from: slot.piece.sourceOffset + UInt64(part.start))
          counters.moved(part.count, isRead: true)
        }
        slots[index].skipParts()
      }
    } catch {
      stop(.system(error))
      return
    }
    if !slots[index].hasPartsLeft { beginWriting(index) }
  }

  // MARK: Writing

  private mutating func beginWriting(_ index: Int) {
    guard let claim = slots[index].claim else { preconditionFailure("a slot with a piece") }
    slots[index].turnToWriting()
    unsafe claim.transfer.chooseWrites(
      of: slots[index].piece, in: slots[index].pieceBytes, read: slots[index].read,
      into: &slots[index].parts)
    if let limit = claim.transfer.limit {
      wait(until: limit.take(slots[index].parts.reduce(0) { $0 + $1.count }))
      if isStopping { return }
    }
    if case .copy(let target) = claim.transfer.target {
      let slot = slots[index]
      do throws(SystemCallError) {
        for part in slot.parts {
          try unsafe target.copy(
            from: UnsafeRawBufferPointer(slot.bytes(of: part)),
            to: slot.piece.targetOffset + UInt64(part.start))
          counters.moved(part.count, isRead: false)
        }
      } catch {
        stop(.system(error))
        return
      }
      slots[index].skipParts()
    }
    if !slots[index].hasPartsLeft { finish(index) }
  }

  /// Waits for a time, or until work is to stop, which a request that is under way and fails is a reason for as well.
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
    let piece = slots[index].piece
    if case .memory(let mapping)? = slots[index].claim?.transfer.source, mapping.isShared {
      let start = Int(piece.sourceOffset)
      do throws(SystemCallError) {
        try mapping.release(start..<(start + piece.byteCount))
      } catch {
        stop(.system(error))
        return
      }
    }
    counters.finish(piece.byteCount)
    slots[index].claim?.transfer.finished(piece)
    slots[index].claim = nil
    queue.finished()
  }

  // MARK: Requests

  /// Requests made that have not been handled.
  private var underWay: Int { io.inFlight + waiting.count }

  /// Makes requests for the parts of all slots, as far as there is room.
  private mutating func issueRequests() {
    for index in slots.indices {
      while slots[index].hasPartsLeft {
        guard underWay < io.capacity else { return }
        let part = slots[index].takePart(limit: requestBytes)
        let isRead = slots[index].phase == .reading
        issue(
          Request(
            slot: index, isRead: isRead, start: part.start, remaining: part.count,
            fileOffset: slots[index].fileOffset + UInt64(part.start)))
      }
    }
  }

  /// Lets requests begin before more work of the processor is done: the disk must not wait for that.
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
    guard let file = slots[request.slot].file else {
      preconditionFailure("requests are made of files only")
    }
    let tag = requests.insert(request)
    let part = Part(request.start..<(request.start + request.remaining))
    let bytes = unsafe slots[request.slot].bytes(of: part)
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
    // No more than were under way: requests that are made again at once must not keep the channel from looking whether to stop.
    for _ in 0..<io.capacity {
      guard let completion = waiting.isEmpty ? io.nextCompletion() : waiting.removeFirst()
      else { return }
      // What was read has been looked at, and maybe copied: the next requests first.
      if handle(completion) { return }
    }
  }

  /// Goes on with a piece. Returns whether that took long, since all of it had been read.
  private mutating func handle(_ completion: IOCompletion) -> Bool {
    let failure = isStopping ? nil : failure(of: completion)
    var request = requests.remove(completion.tag)
    guard !isStopping else { return false }
    if let failure {
      stop(failure)
    } else if completion.isToBeMadeAgain {
      issue(request)
    } else {
      precondition(completion.result <= request.remaining, "no more than was asked for")
      counters.moved(completion.result, isRead: request.isRead)
      request.advance(by: completion.result)
      if request.remaining > 0 {
        issue(request)
      } else if slots[request.slot].endRequest() {
        if slots[request.slot].phase == .reading {
          beginWriting(request.slot)
          return true
        }
        finish(request.slot)
      }
    }
    return false
  }

  /// The error that a completion is, if it is one.
  private func failure(of completion: IOCompletion) -> ImageError? {
    guard completion.result <= 0, !completion.isToBeMadeAgain else { return nil }
    let request = requests[completion.tag]
    guard let file = slots[request.slot].file else {
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
