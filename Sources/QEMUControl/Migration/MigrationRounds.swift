import MappedRAM

/// The rounds of a live migration, as they are seen from outside.
struct MigrationRounds {
  /// The present round, from 1 on; 0 before.
  private(set) var number = 0
  private var dirtyBytesPerSecond: UInt64?
  private var expectedPause: Duration?
  /// For each round that has begun, the bytes that were left at its begin.
  private var left: [UInt64] = []

  /// Takes note of how far the migration is. Returns that for those who watch; `nil` before RAM is moved.
  mutating func take(_ info: MigrationInfo) -> LiveProgress? {
    guard let ram = info.ram, ram.rounds > 0 else { return nil }
    // At the end all rounds are counted once more.
    guard info.status == .active else { return progress }
    if ram.rounds > UInt64(number) {
      number = Int(clamping: ram.rounds)
      left.append(ram.remaining)
    }
    if ram.dirtyBytesPerSecond > 0 { dirtyBytesPerSecond = ram.dirtyBytesPerSecond }
    // Before QEMU has measured anything, it tells the limit.
    if number > 1 {
      expectedPause = info.expectedDowntimeMilliseconds.map { .milliseconds(Int64(clamping: $0)) }
    }
    return progress
  }

  private var progress: LiveProgress {
    LiveProgress(
      round: max(number, 1), dirtyBytesPerSecond: dirtyBytesPerSecond,
      expectedPause: expectedPause)
  }

  /// The error where further rounds would not shorten the pause, or there are to be no more; `nil` where they may go on.
  ///
  /// A round that begins with as much to write as an earlier one has come no further.
  func stuck(_ live: LiveOptions) -> PlanError? {
    let best = left.dropLast().min()
    let isShrinking =
      best.map { Double(left.last ?? 0) <= Double($0) * LiveStep.worthwhile } ?? true
    guard number > live.maximumRounds || !isShrinking else { return nil }
    return .stuck(
      rounds: number, expected: expectedPause ?? .zero, wanted: live.maximumPause,
      dirtyBytesPerSecond: dirtyBytesPerSecond.map { Double($0) })
  }
}
