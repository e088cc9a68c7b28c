import LinuxIO

/// A round of a live save, once it is over.
public struct LiveRound: Equatable, Sendable {
  /// Bytes of memory that were read and hashed; of QEMU's own live save, those that were left at its begin.
  public var readBytes: UInt64
  /// Bytes of pages that were not in their slots yet, or not as they were, and were written.
  public var changedBytes: UInt64
  /// From its start until all of it was written.
  public var elapsed: Duration
  /// How long of it a limit of bandwidth held a channel up.
  public var limited: Duration
  /// Who had the processors meanwhile; `nil` where that is not known.
  public var processors: ProcessorShares?

  /// A round of its parts.
  package init(
    readBytes: UInt64, changedBytes: UInt64, elapsed: Duration, limited: Duration = .zero,
    processors: ProcessorShares? = nil
  ) {
    self.readBytes = readBytes
    self.changedBytes = changedBytes
    self.elapsed = elapsed
    self.limited = limited
    self.processors = processors
  }

  /// Whether at most a quarter of what was read had to be written.
  var isMostlyReading: Bool { changedBytes <= readBytes / 4 }

  /// Seconds that it would have taken without the limit.
  var workSeconds: Double { max((elapsed - limited).inSeconds, 1e-9) }
}

/// What the save and the guest have used of the processors in a time.
public struct ProcessorShares: Equatable, Sendable {
  /// Processor time of the save.
  public var save: Duration
  /// Processor time of the guest.
  public var guest: Duration
  /// Processors that the save can use at once.
  public var count: Int

  /// Shares of their parts.
  package init(save: Duration, guest: Duration, count: Int) {
    precondition(count > 0, "a processor at least")
    self.save = save
    self.guest = guest
    self.count = count
  }

  /// How long what took `work` seconds beside the guest would take while the guest is paused.
  ///
  /// The save gets the guest's share as well, but cannot use more than its processors. Whatever else the time was spent on is
  /// taken to be as it was.
  func alone(_ work: Double) -> Double {
    let (save, guest) = (save.inSeconds, guest.inSeconds)
    guard save > 0, guest > 0 else { return work }
    return min(work, max(work * save / (save + guest), save / Double(count)))
  }
}

/// How a live save in rounds went, of ours or of QEMU's own.
///
/// QEMU's rounds are as they were seen from outside: it is asked every few milliseconds how far it is.
public struct LiveReport: Equatable, Sendable {
  /// The rounds while the VM ran.
  public var rounds: [LiveRound]
  /// The round while it was paused.
  public var lastRound: LiveRound
  /// What followed from the rounds right before the pause; `nil` where there was none, or QEMU did not say.
  public var forecast: LiveForecast?
  /// Whether the downtime was expected to be as short as was wished when the VM was paused.
  public var hasConverged: Bool
  /// Bytes of memory for hashes, at most: 16 a page; 0 for QEMU, which has none.
  public var hashBytes: UInt64
  /// Slots that held an older version of a page that is zero now, and were cleared.
  public var clearedPages: Int

  /// A report of its parts.
  package init(
    rounds: [LiveRound], lastRound: LiveRound, forecast: LiveForecast?, hasConverged: Bool,
    hashBytes: UInt64, clearedPages: Int
  ) {
    self.rounds = rounds
    self.lastRound = lastRound
    self.forecast = forecast
    self.hasConverged = hasConverged
    self.hashBytes = hashBytes
    self.clearedPages = clearedPages
  }
}
