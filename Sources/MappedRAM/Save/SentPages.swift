import Glibc
import LinuxIO
package import LinuxProcesses
import MappedRAMFormat
import Synchronization
import SystemPackage

/// The memory of a VM that runs, as it was at one moment: pages that are about to change are sent here before they do.
///
/// QEMU's background snapshot sends the stream: it protects the memory from being written, and sends each page that the guest is about to
/// write, and in its own time all others, before it lets it be written. Meanwhile channels read the same memory where it is. What a channel
/// has read of a page is what it was at that moment unless the page had been sent by then; so a channel first waits until all that had been
/// sent when it had read is known here (`settle`), and then asks for each page (`take`). Who asks first writes it, and nobody else:
/// no slot is ever written twice, and the memory needed for pages that were sent is bounded.
///
/// The stream is read by a thread of its own, to its end and whatever happens, since the guest waits at each page until it has been sent.
package final class SentPages: Sendable {
  private let stream: SentStream
  /// Joined when the value goes, after `deinit`.
  private let thread: JoinedThread

  /// Reads from `socket` the stream with the pages of `plan`.
  ///
  /// - Throws: what makes a thread and its memory impossible.
  package init(of plan: SavePlan, from socket: UnixSocket) throws(ImageError) {
    do throws(SystemCallError) {
      let stream = try SentStream(plan.blocks.map(\.block), socket)
      let buffer = try Mapping(anonymousByteCount: SentStream.bufferBytes(plan.pageSize))
      thread = JoinedThread(try PosixThread(name: "sent pages") { stream.read(into: buffer) })
      self.stream = stream
    } catch {
      throw .system(error)
    }
  }

  deinit { stream.stop.raise() }

  /// Waits until the memory is protected, and the VM may be resumed; false where that is not so after `duration`.
  ///
  /// - Throws: what is wrong with the stream; `SaveError.notHeld` where it has ended.
  package func waitUntilHeld(for duration: Duration) throws(ImageError) -> Bool {
    let outcome: Result<Bool, ImageError>? = stream.state.wait(for: duration) { state in
      if let failure = state.failure { return .failure(failure) }
      return state.isHeld ? .success(true) : nil
    }
    return try outcome?.get() ?? false
  }

  /// Makes sure that each page was held as it was until `finish`: the stream had not ended, or has all pages.
  ///
  /// - Throws: what is wrong with the stream; `SaveError.notHeld` where it has ended early.
  package func checkHeld() throws(ImageError) {
    if let failure = stream.state.withLock({ $0.failure }) { throw failure }
  }

  /// Whether all pages have been sent, after which nothing is held any more.
  package var isComplete: Bool { stream.state.withLock { $0.isComplete } }

  /// What came.
  package var report: SentReport { stream.state.withLock { $0.report } }

  /// Block number `index` of the plan.
  func block(_ index: Int) -> SentBlock { stream.blocks[index] }

  /// Waits until all that was sent before this call is known to the blocks, as far as the stream goes.
  func settle() { stream.settle() }

  /// Says where pages go that are written here: to `file`, at the slots that begin at `slots` for each block, by the channels behind
  /// `inlet`, whose extents have `extentBytes`. Before the first page is sent.
  func write(
    to file: File, slots: [FileOffset?], _ inlet: WorkInlet, extentBytes: Int,
    _ progress: TransferProgress
  ) {
    let target = SentBatch.Target(
      file: file, slots: slots, blocks: stream.parsed, extentBytes: extentBytes)
    stream.state.withLock {
      $0.output = SentStream.Output(target: target, inlet: inlet, progress: progress)
    }
  }

  /// Takes no more pages of block number `index`, all of which have been read.
  func finish(block index: Int) { stream.blocks[index].claims.takeAll() }

  /// Takes no more pages, as each has been read or sent by now, and gives the channels those that are left.
  func finish() { stream.finish() }
}

/// What a background snapshot sent.
public struct SentReport: Equatable, Sendable {
  /// Pages that were sent, zero pages included.
  public var pages: UInt64 = 0
  /// Those that had been sent before they were read, and were written as they had been sent.
  public var writtenPages: UInt64 = 0
}

/// A block of which some pages are sent.
final class SentBlock: Sendable {
  /// Who writes each page.
  let claims: PageClaims
  /// Pages that were sent, are written as they were, and are not zero. Complete once the stream is finished.
  let present: SharedBitmap

  init(_ block: RAMBlock) {
    claims = PageClaims(pageCount: block.pageCount)
    present = SharedBitmap(pageCount: block.pageCount)
  }
}

/// The stream itself: what its thread and the channels have in common.
private final class SentStream: Sendable {
  let parsed: [RAMBlock]
  let blocks: [SentBlock]
  let stop: StopSignal
  let state = Monitor(State())
  private let socket: UnixSocket

  struct State {
    /// Bytes that were received.
    var received: UInt64 = 0
    /// Of these, all records that are whole have been dealt with.
    var settled: UInt64 = 0
    var isHeld = false
    var isComplete = false
    var hasEnded = false
    /// Whether all has been read that is not here.
    var isFinished = false
    var failure: ImageError?
    /// Channels that wait in `settle`.
    var waiters = 0
    /// Batches that are being written.
    var batchesUnderWay = 0
    var output: Output?
    /// Pages that are to be written, as far as they are in no batch that is under way.
    var batch: SentBatch?
    var report = SentReport()
  }

  /// Where pages go.
  struct Output: Sendable {
    let target: SentBatch.Target
    let inlet: WorkInlet
    let progress: TransferProgress
  }

  /// Batches that may be under way before the guest has to wait for the disk: 64 MiB.
  private static let batches = 16
  /// How long no batch may be written while the guest waits.
  private static let patience = Duration.seconds(20)
  /// How long to wait for something before it is looked whether to stop.
  private static let nap = Duration.milliseconds(100)

  /// Room for what is received at once, and for a record that was not whole before.
  static func bufferBytes(_ pageSize: PageSize) -> Int {
    max(256 << 10, 2 * (RAMRecord.maximumByteCount + pageSize.byteCount))
  }

  init(_ blocks: [RAMBlock], _ socket: UnixSocket) throws(SystemCallError) {
    parsed = blocks
    self.blocks = blocks.map(SentBlock.init)
    self.socket = socket
    stop = try StopSignal()
  }

  // MARK: The thread

  /// Reads to the end of the stream, or until it is stopped.
  func read(into buffer: Mapping) {
    var failure: ImageError?
    do throws(ImageError) {
      try readRecords(buffer)
    } catch {
      failure = error
    }
    if let failure {
      fail(failure)
      // Whoever sends must not wait all the same.
      try? drain(buffer)
    }
    let isEarly = state.withLock { state in
      state.hasEnded = true
      return !state.isComplete && !state.isFinished
    }
    if isEarly { fail(.save(.notHeld)) }
  }

  /// Notes what is wrong, and stops the channels.
  private func fail(_ error: ImageError) {
    let inlet = state.withLock { state in
      state.failure = state.failure ?? error
      return state.output?.inlet
    }
    inlet?.fail(error)
  }

  private func readRecords(_ buffer: Mapping) throws(ImageError) {
    var parser = SentStreamParser(parsed)
    var filled = 0
    // SAFETY: the buffer is this thread's alone, and is kept until it ends.
    let bytes = unsafe buffer.mutableBytes
    while true {
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[filled...])
      guard let count = try calling({ () throws(SystemCallError) in try unsafe receive(part) }),
        count > 0
      else { return }
      filled += count
      let all = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<filled])
      let taken: Int
      do throws(FormatError) {
        var taking = Taking(self)
        taken = try unsafe parser.take(all) { place, page in unsafe taking.take(place, page) }
        taking.end()
      } catch {
        throw .format(error, in: socket.path)
      }
      filled -= taken
      if taken > 0 {
        unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[taken...]))
      }
      let (isHeld, isComplete) = (parser.hasBegun, parser.isComplete)
      state.withLock { state in
        state.settled = state.received
        state.isHeld = isHeld
        state.isComplete = isComplete
      }
    }
  }

  /// Receives what there is into `part`; 0 at the end, `nil` where it was stopped.
  ///
  /// The bytes count as received in the moment in which they are not queued any more.
  private func receive(_ part: UnsafeMutableRawBufferPointer) throws(SystemCallError) -> Int? {
    while !stop.isRaised {
      let count: Result<Int?, SystemCallError> = state.withLock(wakesWaiters: false) { state in
        do throws(SystemCallError) {
          let count = try unsafe socket.receiveNow(into: part)
          state.received += UInt64(count ?? 0)
          return .success(count)
        } catch {
          return .failure(error)
        }
      }
      if let count = try count.get() { return count }
      guard try stop.wait(for: socket.descriptor, events: POLLIN) else { return nil }
    }
    return nil
  }

  /// Reads on, and forgets what it reads.
  private func drain(_ buffer: Mapping) throws(SystemCallError) {
    // SAFETY: as in `readRecords`.
    while let count = try unsafe receive(buffer.mutableBytes), count > 0 {
      state.withLock { $0.settled = $0.received }
    }
  }

  // MARK: The channels

  func settle() {
    // What was read was read before it is asked what had been sent.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let sent: UInt64? = state.withLock(wakesWaiters: false) { state in
      // What is queued was sent before now, as what is sent is queued before whoever sends goes on.
      guard let queued = try? socket.queuedByteCount() else { return nil }
      return state.received + UInt64(queued)
    }
    guard let sent else { return fail(.save(.notHeld)) }
    let isSettled = state.withLock { state in
      if state.isSettled(sent) { return true }
      // The thread must not wait for channels now.
      state.waiters += 1
      return false
    }
    guard !isSettled else { return }
    state.wait { $0.isSettled(sent) ? () : nil }
    state.withLock { $0.waiters -= 1 }
  }

  // MARK: Pages to be written

  /// Pages of one turn of the thread.
  struct Taking {
    private let stream: SentStream
    private var report = SentReport()

    init(_ stream: SentStream) { self.stream = stream }

    /// Deals with a page that was sent; a zero page without bytes.
    mutating func take(_ place: SentStreamParser.Place, _ bytes: UnsafeRawBufferPointer?) {
      report.pages += 1
      let block = stream.blocks[place.block]
      // A zero page may come with all of its bytes, if QEMU does not look for them.
      guard block.claims.take(place.page), let bytes = unsafe bytes, unsafe !ZeroScan.isZero(bytes),
        unsafe stream.append(bytes, place)
      else { return }
      report.writtenPages += 1
    }

    func end() {
      let report = report
      stream.state.withLock(wakesWaiters: false) { state in
        state.report.pages += report.pages
        state.report.writtenPages += report.writtenPages
      }
    }
  }

  /// Has a page written, and its bit set. False where it is not any more.
  private func append(_ bytes: UnsafeRawBufferPointer, _ place: SentStreamParser.Place) -> Bool {
    let outcome = state.withLock(wakesWaiters: false) {
      state -> Result<(isFull: Bool, canWait: Bool), SystemCallError>? in
      guard !state.isFinished, let target = state.output?.target, target.hasSlots(place.block)
      else { return nil }
      do throws(SystemCallError) {
        let batch: SentBatch
        if let open = state.batch { batch = open } else { batch = try SentBatch(target) }
        state.batch = batch
        unsafe batch.append(bytes, place)
        blocks[place.block].present.insert(place.page)
        return .success((batch.isFull, state.batchesUnderWay >= Self.batches))
      } catch {
        return .failure(error)
      }
    }
    switch outcome {
    case nil: return false
    case .failure(let error)?:
      fail(.system(error))
      return false
    case .success(let (isFull, canWait))?:
      if isFull {
        if canWait { waitForBatches() }
        enqueueBatch()
      }
      return true
    }
  }

  /// Waits until fewer batches are under way. Not while a channel waits for this thread, nor where there are no channels any more.
  ///
  /// The guest waits meanwhile, so a file that takes nothing for too long ends the save.
  private func waitForBatches() {
    guard let output = state.withLock({ $0.output }) else { return }
    let deadline = ContinuousClock.now + Self.patience
    while !output.inlet.mustStop(), !stop.isRaised {
      guard .now < deadline else {
        return fail(
          .system(
            SystemCallError(
              call: .pwrite, errno: .timedOut, subject: .file(output.target.file.path))))
      }
      let isDone: Void? = state.wait(for: Self.nap) { state in
        state.batchesUnderWay < Self.batches || state.waiters > 0 ? () : nil
      }
      if isDone != nil { return }
    }
  }

  private func enqueueBatch() {
    state.withLock { state in
      guard let batch = state.batch.take(), let output = state.output else { return }
      batch.seal { [weak self] in self?.state.withLock { $0.batchesUnderWay -= 1 } }
      state.batchesUnderWay += 1
      output.progress.plan(batch.byteCount)
      output.inlet.enqueue(batch)
    }
  }

  func finish() {
    settle()
    // An end that has not been seen yet may have come before the last page was read.
    let hasEnded = (try? stop.wait(for: [(socket.descriptor, 0)], milliseconds: 0))?.first
    if hasEnded != false { state.wait { $0.hasEnded ? () : nil } }
    state.withLock { $0.isFinished = true }
    enqueueBatch()
  }
}

extension SentStream.State {
  func isSettled(_ sent: UInt64) -> Bool { settled >= sent || hasEnded || failure != nil }
}
