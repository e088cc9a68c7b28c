import LinuxIO

/// Holds channels up so that they move no more than so many bytes a second together.
///
/// Bytes are paid for after they are moved; a pause earns no credit.
final class BandwidthLimit: Sendable {
  /// The bytes of a second.
  let bytesPerSecond: UInt64
  private let state = Monitor(State())

  private struct State {
    var account: LimitAccount?
    var waited = Duration.zero
  }

  /// A limit of `bytesPerSecond`, at least one.
  init(bytesPerSecond: UInt64) {
    precondition(bytesPerSecond > 0, "a limit of nothing would never end")
    self.bytesPerSecond = bytesPerSecond
  }

  /// When `byteCount` more bytes may be moved.
  func take(_ byteCount: Int) -> ContinuousClock.Instant {
    let now = ContinuousClock.now
    guard byteCount > 0 else { return now }
    return state.withLock { state in
      var account = state.account ?? LimitAccount(bytesPerSecond: bytesPerSecond, at: now)
      let free = account.take(byteCount, at: now)
      state.account = account
      state.waited += max(free - now, .zero)
      return free
    }
  }

  /// How long channels have been held up since the last time that this was asked, all together.
  func takeWaited() -> Duration {
    state.withLock { state in
      defer { state.waited = .zero }
      return state.waited
    }
  }
}

/// What is left of a limit at a moment.
struct LimitAccount: Equatable {
  private let nanosecondsPerByte: Double
  /// When all that was taken so far is paid for.
  private var paid: ContinuousClock.Instant

  init(bytesPerSecond: UInt64, at now: ContinuousClock.Instant) {
    nanosecondsPerByte = 1e9 / Double(bytesPerSecond)
    paid = now
  }

  /// Takes `byteCount` bytes at the moment `now`. Returns when they may be moved: at once only if nothing is owed.
  mutating func take(_ byteCount: Int, at now: ContinuousClock.Instant) -> ContinuousClock.Instant {
    let free = max(paid, now)
    paid = free + .nanoseconds(Int64(Double(byteCount) * nanosecondsPerByte))
    return free
  }
}
