import LinuxIO
import MappedRAM
import MappedRAMFormat
import QMP
import SystemPackage

/// A migration that QEMU carries out, out of or into a file, watched from here.
struct FileMigration {
  let session: VMSession
  /// The file as this process knows it, for errors.
  let path: FilePath
  /// How the VM is saved while it runs; `nil` for one that is paused.
  var live: LiveOptions?

  /// How often QEMU is asked how far it is: at first, and later on.
  static let intervals = (
    shortest: Duration.milliseconds(1), longest: Duration.milliseconds(50),
    live: Duration.milliseconds(10), loading: Duration.microseconds(100)
  )

  /// Lets the VM be saved to `uri`. Returns once it is `completed`, with the rounds that it took.
  ///
  /// - Throws: where the save is cancelled, or does not converge and is to fail then, with the migration under way: it is ended on the way
  ///   back.
  func save(
    to uri: String, _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(VMError) -> MigrationRounds {
    session.note { $0.migration = .intended }
    do throws(VMError) {
      try session.execute(.migrate(uri: uri))
    } catch {
      // The migration under way, if there is one, is another client's.
      if case .qmp(.refused) = error { session.note { $0.migration = nil } }
      throw error
    }
    session.note { $0.migration = .accepted }
    let rounds = try wait(progress, cancellation)
    session.note { $0.migration = .completed }
    return rounds
  }

  /// Lets the waiting VM load `uri`. Returns once it is `completed`.
  func load(
    from uri: String, _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(VMError) {
    let start = try VMError.asking { () throws(QMPError) in
      try session.connection.incomingCommand(uri: uri)
    }
    let (started, look) = try session.send(start, .queryMigrate)
    try session.answer(to: started)
    do throws(VMError) {
      _ = try wait(progress, cancellation, asked: look)
    } catch .migrationFailed(let path, let reason, _) {
      throw .migrationFailed(path, reason: reason, hints: [.standardError])
    }
  }

  /// Waits for the end.
  ///
  /// - Parameter asked: the first look, if that is on its way.
  private func wait(
    _ progress: TransferProgress, _ cancellation: Cancellation,
    asked: SentCommand<MigrationInfo>? = nil
  ) throws(VMError) -> MigrationRounds {
    var asked = asked
    var interval = asked == nil ? Self.intervals.shortest : Self.intervals.loading
    let longest = live == nil ? Self.intervals.longest : Self.intervals.live
    var rounds = MigrationRounds()
    var notConverging: SaveError?
    while true {
      let info: MigrationInfo
      if let sent = asked.take() {
        info = try session.answer(to: sent)
      } else {
        info = try session.execute(.queryMigrate)
      }
      if let ram = info.ram {
        progress.report(
          totalBytes: ram.total, doneBytes: ram.total - min(ram.remaining, ram.total),
          writtenBytes: ram.transferred)
      }
      if let live, let found = rounds.take(info) {
        progress.report(found)
        if notConverging == nil { notConverging = rounds.notConverging(live) }
      }
      switch info.status {
      case .completed: return rounds
      case .failed: throw .migrationFailed(path, reason: info.errorDescription)
      case .cancelled: throw .migrationCancelled(path)
      default: break
      }
      if cancellation.isCancelled { throw .image(.cancelled) }
      if let notConverging, rounds.hasConverged {
        guard live?.ifNotConverging == .pause else { throw .image(.save(notConverging)) }
        // A guest that is paused changes nothing more: QEMU comes to its end.
        try session.pauseMigrating()
        rounds.hasConverged = false
      }
      try session.lookAtExpectedPause()
      sleep(for: interval)
      interval = min(interval * 2, longest)
    }
  }
}

extension FileMigration {
  /// The channels that QEMU saves with: one, beside the migration thread, which looks for zero pages.
  ///
  /// When a write fails, QEMU frees the bitmaps of the mapped-ram file while its other channels may still have pages to write, and the VM
  /// dies with it (SIGSEGV; tried on full disks with 10.0.2 and 11.1.3: with 8 channels some of 900, with one none of 9,200). A single
  /// channel ends with its own error. It is as fast as 8 where the disk sets the speed; where most pages are zero, most of what 8 save
  /// comes from the zeros being looked for in parallel with writing, which the migration thread does as well (our measurement: the page
  /// Performance of the module `MappedRAM`).
  static let savingChannels = 1

  /// The channels that QEMU loads fastest with, as far as it was measured, also on two processors.
  static let loadingChannels = 8

  /// The longest pause that QEMU can be allowed (QEMU 10.0.2 refuses more than 2,000 s).
  private static let longestPause = Duration.seconds(2000)

  /// QEMU's parameters for a save into a mapped-ram file, at full speed or so many bytes a second, or as `live` says.
  ///
  /// - Parameter overhead: what the pause of a live save takes besides writing, which is all that QEMU expects of it.
  static func savingParameters(
    direct: Bool, live: LiveOptions? = nil, overhead: Duration = .zero,
    bytesPerSecond: UInt64? = nil
  ) -> [String: JSONValue] {
    var parameters = parameters(channels: savingChannels, direct: direct)
    parameters["zero-page-detection"] = "legacy"
    if let bytesPerSecond {
      parameters["max-bandwidth"] = .integer(Int64(clamping: bytesPerSecond))
    }
    if let live {
      // Of a pause that is too short for it anyway, a part is left for writing: QEMU would make rounds without end for less. With 0 it would
      // not look what has changed before it pauses the VM, and write all that then (tried: QEMU 10.0.2).
      let writing = max(
        live.maximumDowntime - overhead, live.maximumDowntime / 4, .milliseconds(1))
      let pause = min(writing, longestPause)
      parameters["downtime-limit"] = .integer(Int64(pause.wholeMilliseconds))
      parameters["max-bandwidth"] = .integer(Int64(clamping: live.bytesPerSecond ?? 0))
    }
    return parameters
  }

  /// QEMU's parameters for loading a mapped-ram file at full speed.
  static func loadingParameters(direct: Bool) -> [String: JSONValue] {
    parameters(channels: loadingChannels, direct: direct)
  }

  private static func parameters(channels: Int, direct: Bool) -> [String: JSONValue] {
    [
      "multifd-channels": .integer(Int64(channels)), "multifd-compression": "none",
      "direct-io": .bool(direct), "max-bandwidth": 0,
    ]
  }
}

/// The rounds of a live migration, as they are seen from outside.
struct MigrationRounds {
  /// The present round, from 1 on; 0 before.
  private(set) var number = 0
  /// Whether it came to its end without the VM being paused for it.
  var hasConverged = true
  private var dirtyBytesPerSecond: UInt64?
  private var expectedDowntime: Duration?
  /// How far it was at the begin of each round that has been seen.
  private var begins: [Look] = []
  /// How far it was at the last look at which the VM's RAM was moved, and at the end.
  private var last: Look?
  private var end: Look?

  private struct Look {
    var time: ContinuousClock.Instant
    /// Bytes that were left in this round.
    var left: UInt64
    /// Bytes that had been written.
    var written: UInt64

    init(_ ram: MigrationInfo.RAM, at time: ContinuousClock.Instant) {
      (self.time, left, written) = (time, ram.remaining, ram.transferred)
    }

    /// What lies between this and a later look.
    func round(until next: Look) -> LiveRound {
      LiveRound(
        readBytes: left, changedBytes: next.written - min(written, next.written),
        elapsed: next.time - time)
    }
  }

  /// Takes note of how far the migration is. Returns that for those who watch; `nil` before RAM is moved.
  mutating func take(
    _ info: MigrationInfo, at time: ContinuousClock.Instant = .now
  ) -> LiveProgress? {
    guard let ram = info.ram, ram.rounds > 0 else { return nil }
    let look = Look(ram, at: time)
    // At the end all rounds are counted once more.
    guard info.status == .active else {
      end = look
      return progress
    }
    last = look
    if ram.rounds > UInt64(number) {
      number = Int(clamping: ram.rounds)
      begins.append(look)
    }
    if ram.dirtyBytesPerSecond > 0 { dirtyBytesPerSecond = ram.dirtyBytesPerSecond }
    // Before QEMU has measured anything, it tells the limit.
    if number > 1 {
      expectedDowntime = info.expectedDowntimeMilliseconds.map {
        .milliseconds(Int64(clamping: $0))
      }
    }
    return progress
  }

  /// How it went, as far as it was seen: what QEMU has written since the last look counts as that of the pause.
  ///
  /// - Parameter pause: how long the VM was paused.
  func report(pause: Duration, clearedPages: Int) -> LiveReport {
    let looks = begins + [last].compactMap { $0 }
    let rounds = zip(looks, looks.dropFirst()).map { $0.round(until: $1) }
    var lastRound = LiveRound(readBytes: 0, changedBytes: 0, elapsed: pause)
    if let last, let end {
      lastRound = last.round(until: end)
      lastRound.elapsed = pause
    }
    return LiveReport(
      rounds: rounds, lastRound: lastRound,
      forecast: expectedDowntime.map {
        LiveForecast(
          dirtyBytesPerSecond: dirtyBytesPerSecond.map { Double($0) }, expectedDowntime: $0)
      }, hasConverged: hasConverged, hashBytes: 0, clearedPages: clearedPages)
  }

  private var progress: LiveProgress {
    LiveProgress(
      round: max(number, 1), dirtyBytesPerSecond: dirtyBytesPerSecond,
      expectedDowntime: expectedDowntime)
  }

  /// The error where further rounds would not shorten the pause, or there are to be no more; `nil` where there may be more.
  ///
  /// A round that begins with as much to write as an earlier one has come no further.
  func notConverging(_ live: LiveOptions) -> SaveError? {
    let left = begins.map(\.left)
    let best = left.dropLast().min()
    let isShrinking =
      best.map { Double(left.last ?? 0) <= Double($0) * LiveStep.worthwhile } ?? true
    guard number > live.maximumRounds || !isShrinking else { return nil }
    return .doesNotConverge(
      rounds: number, expected: expectedDowntime ?? .zero, wanted: live.maximumDowntime,
      dirtyBytesPerSecond: dirtyBytesPerSecond.map { Double($0) })
  }
}
