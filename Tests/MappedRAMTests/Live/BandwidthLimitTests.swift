import LinuxIO
import TestSupport
import Testing

@testable import MappedRAM

/// The limit of bandwidth, by a clock of the test's own.
@Suite struct BandwidthLimitTests {
  let start = ContinuousClock.now

  @Test func theFirstBytesAreFreeAndTheNextOnesWait() {
    var account = LimitAccount(bytesPerSecond: 1000, at: start)
    #expect(account.take(500, at: start) == start)
    #expect(account.take(1, at: start) == start + .milliseconds(500))
    #expect(account.take(1, at: start) == start + .milliseconds(501))
  }

  @Test func anIdleTimeEarnsNothing() {
    var account = LimitAccount(bytesPerSecond: 1000, at: start)
    let later = start + .seconds(100)
    #expect(account.take(1000, at: later) == later)
    #expect(account.take(1000, at: later) == later + .seconds(1))
    #expect(account.take(1000, at: later + .seconds(5)) == later + .seconds(5))
  }

  /// Over any number of extents of any size, never more than the limit and one extent.
  @Test func theSumKeepsToTheLimit() {
    var generator = SeededGenerator()
    let rate: UInt64 = 1 << 20
    var account = LimitAccount(bytesPerSecond: rate, at: start)
    var (now, bytes) = (start, 0)
    for _ in 0..<1000 {
      let count = Int.random(in: 1...100_000, using: &generator)
      now = max(now, account.take(count, at: now))
      let elapsed = (now - start).inSeconds
      #expect(Double(bytes) <= elapsed * Double(rate) + 100_001)
      bytes += count
      now += .milliseconds(Int.random(in: 0...20, using: &generator))
    }
  }

  @Test func nothingCostsNothing() {
    let limit = BandwidthLimit(bytesPerSecond: 1)
    #expect(limit.take(0) <= .now)
    #expect(limit.take(1 << 20) <= .now)
    #expect(limit.take(0) <= .now)
    #expect(limit.takeWaited() == .zero)
    #expect(limit.take(1) > .now + .seconds(1_000_000))
    #expect(limit.takeWaited() > .seconds(1_000_000))
    #expect(limit.takeWaited() == .zero)
  }
}
