import LinuxIO

/// Holds channels up so that they write no more than so many bytes a second together.
///
/// Bytes are paid for after they are written; a pause earns no credit.
final class BandwidthLimit: Sendable {
  /// The bytes of a second.
  let bytesPerSecond: UInt64
  private let mustStop: @Sendable () -> Bool
  private let state = Monitor(State())

  private struct State {
    var account: LimitAccount?
    var waited = Duration.zero
  }

  /// How long a channel sleeps before it looks again whether to stop.
  private static let nap = Duration.milliseconds(50)

  /// A limit of `bytesPerSecond`, at least one, until `mustStop` says that work is to stop.
  init(bytesPerSecond: UInt64, mustStop: @escaping @Sendable () -> Bool) {
    precondition(bytesPerSecond > 0, "a limit of nothing would never end")
    self.bytesPerSecond = bytesPerSecond
    self.mustStop = mustStop
  }

  /// Waits until `byteCount` more bytes may be written, or work is to stop.
  func wait(for byteCount: Int) {
    guard byteCount > 0 else { return }
    let now = ContinuousClock.now
    let free = state.withLock { state in
      var account = state.account ?? LimitAccount(bytesPerSecond: bytesPerSecond, at: now)
      let free = account.take(byteCount, at: now)
      state.account = account
      state.waited += max(free - now, .zero)
      return free
    }
    while !mustStop() {
      let rest = free - .now
      guard rest > .zero else { return }
      sleep(for: min(rest, Self.nap))
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

  /// Takes `byteCount` bytes at the moment `now`. Returns when they may be written: at once only if nothing is owed.
  mutating func take(_ byteCount: Int, at now: ContinuousClock.Instant) -> ContinuousClock.Instant {
    let free = max(paid, now)
    paid = free + .nanoseconds(Int64(Double(byteCount) * nanosecondsPerByte))
    return free
  }
}
