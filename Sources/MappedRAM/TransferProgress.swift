import LinuxIO
import Synchronization

/// How far a save or restore is. Any thread may look at any time.
public final class TransferProgress: Sendable {
  private let total = Atomic<UInt64>(0)
  private let done = Atomic<UInt64>(0)
  private let moved = Atomic<UInt64>(0)

  /// Nothing is planned yet.
  public init() {}

  /// Bytes of guest memory that have to be looked at.
  public var totalBytes: UInt64 { total.load(ordering: .relaxed) }
  /// Bytes of guest memory that have been dealt with, zeros included.
  public var doneBytes: UInt64 { done.load(ordering: .relaxed) }
  /// Bytes written so far.
  public var writtenBytes: UInt64 { moved.load(ordering: .relaxed) }

  private let round = Atomic<Int>(0)
  private let dirtyRate = Atomic<UInt64>(.max)
  private let pause = Atomic<UInt64>(.max)

  /// How far a live save is; `nil` for other work.
  public var live: LiveProgress? {
    let number = round.load(ordering: .relaxed)
    guard number > 0 else { return nil }
    let (rate, micros) = (
      dirtyRate.load(ordering: .relaxed), pause.load(ordering: .relaxed)
    )
    return LiveProgress(
      round: number, dirtyBytesPerSecond: rate == .max ? nil : rate,
      expectedDowntime: micros == .max ? nil : .microseconds(Int64(micros)))
  }

  /// Says how far a live save is that somebody else does, like QEMU.
  public func report(_ live: LiveProgress) {
    round.store(live.round, ordering: .relaxed)
    dirtyRate.store(live.dirtyBytesPerSecond ?? .max, ordering: .relaxed)
    let micros = live.expectedDowntime.map(\.wholeMicroseconds)
    pause.store(micros ?? .max, ordering: .relaxed)
  }

  /// A round begins, which looks at `bytes` bytes of guest memory: what is done counts anew.
  func begin(round number: Int, of bytes: UInt64) {
    round.store(number, ordering: .relaxed)
    done.store(0, ordering: .relaxed)
    total.store(bytes, ordering: .relaxed)
  }

  /// Says what a round has shown.
  func forecast(_ forecast: LiveForecast) {
    report(
      LiveProgress(
        round: round.load(ordering: .relaxed),
        dirtyBytesPerSecond: forecast.dirtyBytesPerSecond.map { UInt64($0) },
        expectedDowntime: forecast.expectedDowntime))
  }

  /// Says how far work is that somebody else does, like QEMU. Not for work of this library's engine.
  public func report(totalBytes: UInt64, doneBytes: UInt64, writtenBytes: UInt64) {
    total.store(totalBytes, ordering: .relaxed)
    done.store(doneBytes, ordering: .relaxed)
    moved.store(writtenBytes, ordering: .relaxed)
  }

  func plan(_ bytes: UInt64) { total.wrappingAdd(bytes, ordering: .relaxed) }
  func finish(_ bytes: UInt64) { done.wrappingAdd(bytes, ordering: .relaxed) }
  func write(_ bytes: UInt64) { moved.wrappingAdd(bytes, ordering: .relaxed) }
}

/// How far a live save is.
public struct LiveProgress: Equatable, Sendable {
  /// The round, from 1 on.
  public var round: Int
  /// Bytes of different pages that the guest changes in a second; `nil` where it is not known yet.
  public var dirtyBytesPerSecond: UInt64?
  /// How long the VM would be paused if it were now; `nil` where it is not known yet.
  public var expectedDowntime: Duration?

  /// A state of its parts.
  package init(round: Int, dirtyBytesPerSecond: UInt64? = nil, expectedDowntime: Duration? = nil) {
    self.round = round
    self.dirtyBytesPerSecond = dirtyBytesPerSecond
    self.expectedDowntime = expectedDowntime
  }
}
