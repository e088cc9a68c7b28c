import LinuxIO

/// The work of all channels, and who waits for what.
///
/// The coordinating thread appends transfers and syncs; channels claim pieces and report them finished.
final class WorkQueue: Sendable {
  /// A piece of a transfer, claimed by a channel.
  struct Claim: Sendable {
    var transfer: any Transfer
    var piece: Int
  }

  /// What a channel is told when it asks for work.
  enum Answer {
    case claim(Claim)
    /// Nothing now; there may be more later.
    case nothingYet
    /// No more work will come.
    case closed
  }

  private struct State {
    var transfers: [any Transfer] = []
    var nextPiece = 0
    var claimed = 0
    var isClosed = false
    var failure: ImageError?
  }

  private let state = Monitor(State())
  private let cancellation: Cancellation

  init(cancellation: Cancellation) { self.cancellation = cancellation }

  /// Appends a transfer to the work.
  func append(_ transfer: any Transfer) {
    guard transfer.pieceCount > 0 else { return }
    state.withLock { $0.transfers.append(transfer) }
  }

  /// Claims the next piece, waiting for one if `wait` is set.
  func claim(wait: Bool) -> Answer {
    state.wait { state -> Answer? in
      if state.failure != nil { return .closed }
      if let transfer = state.transfers.first {
        let claim = Claim(transfer: transfer, piece: state.nextPiece)
        state.claimed += 1
        state.nextPiece += 1
        if state.nextPiece == transfer.pieceCount {
          state.transfers.removeFirst()
          state.nextPiece = 0
        }
        return .claim(claim)
      }
      if state.isClosed { return .closed }
      return wait ? nil : .nothingYet
    }
  }

  /// Whether channels must stop at their next request. The first to see a cancellation makes it the failure of all.
  func mustStop() -> Bool {
    if cancellation.isCancelled { fail(.cancelled) }
    return state.withLock { $0.failure != nil }
  }

  /// Takes back `count` claims: the pieces are done, or will never be.
  func finished(_ count: Int = 1) { state.withLock { $0.claimed -= count } }

  /// Stops all channels; the first error is the one that is reported.
  func fail(_ error: ImageError) {
    state.withLock { state in
      if state.failure == nil { state.failure = error }
      state.transfers.removeAll()
    }
  }

  /// Waits until all work that was appended is done.
  ///
  /// - Throws: the first error of any channel, once none has work under way.
  func sync() throws(ImageError) {
    let failure: ImageError? = state.wait { state -> ImageError?? in
      guard state.claimed == 0 else { return nil }
      if let failure = state.failure { return .some(failure) }
      return state.transfers.isEmpty ? .some(nil) : nil
    }
    if let failure { throw failure }
  }

  /// Lets channels end once the work is done.
  func close() { state.withLock { $0.isClosed = true } }
}
