import LinuxIO
import Synchronization

/// The work of all channels, and who waits for what.
///
/// The coordinating thread appends transfers and syncs; channels claim extents and report them finished. Other threads may append
/// as well: work that holds memory until it is done is urgent, and is taken before all that is not.
final class WorkQueue: Sendable {
  /// An extent of a transfer, claimed by a channel.
  struct Claim: Sendable {
    var transfer: any Transfer
    var extent: Int
  }

  /// What a channel is told when it asks for work.
  enum Answer {
    case claim(Claim)
    /// Nothing now; there may be more later.
    case nothingYet
    /// No more work will come.
    case closed
  }

  /// Transfers that wait, the first to be taken first.
  private struct Line {
    var transfers: [any Transfer] = []
    var nextExtent = 0

    mutating func take() -> Claim? {
      guard let transfer = transfers.first else { return nil }
      let claim = Claim(transfer: transfer, extent: nextExtent)
      nextExtent += 1
      if nextExtent == transfer.extentCount {
        transfers.removeFirst()
        nextExtent = 0
      }
      return claim
    }
  }

  private struct State {
    var urgent = Line()
    var patient = Line()
    var claimed = 0
    var isClosed = false
    var failure: ImageError?

    var isEmpty: Bool { urgent.transfers.isEmpty && patient.transfers.isEmpty }

    /// The next extent, or that there will be none; `nil` where that is not known yet.
    mutating func take() -> Answer? {
      if failure != nil { return .closed }
      guard let claim = urgent.take() ?? patient.take() else { return isClosed ? .closed : nil }
      claimed += 1
      return .claim(claim)
    }
  }

  private let state = Monitor(State())
  /// Whether there is a failure: channels look at it at each turn, without the lock.
  private let hasFailed = Atomic<Bool>(false)
  private let cancellation: Cancellation

  init(cancellation: Cancellation) { self.cancellation = cancellation }

  /// Appends a transfer to the work; an urgent one before all that are not. Any thread may do so.
  ///
  /// After a failure it is dropped.
  func append(_ transfer: any Transfer, isUrgent: Bool = false) {
    guard transfer.extentCount > 0 else { return }
    state.withLock { state in
      guard state.failure == nil else { return }
      if isUrgent {
        state.urgent.transfers.append(transfer)
      } else {
        state.patient.transfers.append(transfer)
      }
    }
  }

  /// Claims the next extent, waiting for one if `wait` is set.
  func claim(wait: Bool) -> Answer {
    // Nobody waits for a claim, and a wake-up for each would cost as much as the claim.
    if let answer = state.withLock(wakesWaiters: false, { $0.take() }) { return answer }
    return wait ? state.wait { $0.take() } : .nothingYet
  }

  /// Whether channels must stop at their next request. The first to see a cancellation makes it the failure of all.
  func mustStop() -> Bool {
    if cancellation.isCancelled { fail(.cancelled) }
    return hasFailed.load(ordering: .relaxed)
  }

  /// Takes back `count` claims: the extents are done, or will never be.
  func finished(_ count: Int = 1) {
    let isIdle = state.withLock(wakesWaiters: false) { state in
      state.claimed -= count
      return state.claimed == 0 && (state.isEmpty || state.failure != nil)
    }
    // A sync waits for the last claim alone; it looks for itself whether that is still so.
    if isIdle { state.withLock { _ in } }
  }

  /// Stops all channels; the first error is the one that is reported.
  func fail(_ error: ImageError) {
    state.withLock { state in
      if state.failure == nil { state.failure = error }
      state.urgent = Line()
      state.patient = Line()
      hasFailed.store(true, ordering: .relaxed)
    }
  }

  /// Waits until all work that was appended is done.
  ///
  /// - Throws: the first error of any channel, once none has work under way.
  func sync() throws(ImageError) {
    let failure: ImageError? = state.wait { state -> ImageError?? in
      guard state.claimed == 0 else { return nil }
      if let failure = state.failure { return .some(failure) }
      return state.isEmpty ? .some(nil) : nil
    }
    if let failure { throw failure }
  }

  /// Lets channels end once the work is done.
  func close() { state.withLock { $0.isClosed = true } }
}

/// The way by which other threads than the coordinating one give channels work, and stop them.
struct WorkInlet: Sendable {
  let queue: WorkQueue

  /// Queues a transfer that holds memory until it is done: it is taken before all that only waits for its turn.
  ///
  /// After a failure it is dropped.
  func enqueue(_ transfer: any Transfer) { queue.append(transfer, isUrgent: true) }

  /// Stops all channels; the first error is the one that is reported.
  func fail(_ error: ImageError) { queue.fail(error) }

  /// Whether work is to stop: somebody has failed, or a stop was asked for.
  func mustStop() -> Bool { queue.mustStop() }
}
