import LinuxIO
import MappedRAMFormat

/// The rounds of a live save: what they know of the pages, how they went, and whether there is to be another.
struct LiveRounds {
  /// What is known of each block's pages; `nil` for a block that is left out.
  let states: [SlotStates?]
  /// What holds the writes of all rounds but the last up, if anything does.
  let limit: BandwidthLimit?
  /// Those that are over.
  private(set) var rounds: [LiveRound] = []
  private let options: LiveOptions
  private let guestTime: @Sendable () -> Duration?
  private var hasConverged = true

  /// The rounds of a save of `plan`.
  ///
  /// - Throws: where there is not as much memory as they may need.
  init(
    of plan: SavePlan, _ options: LiveOptions, guestTime: @escaping @Sendable () -> Duration?
  ) throws(ImageError) {
    do throws(SystemCallError) {
      states = try plan.blocks.map { (block) throws(SystemCallError) in
        block.pages == nil || block.block.isIgnored ? nil : try SlotStates(block.block)
      }
    } catch {
      throw .system(error)
    }
    limit = options.bytesPerSecond.map { BandwidthLimit(bytesPerSecond: $0) }
    self.options = options
    self.guestTime = guestTime
  }

  /// When a round began, and who had used how much of the processors by then.
  struct Start {
    let time = ContinuousClock.now
    let saveTime = ResourceUsage.current().cpuTime
    let guestTime: Duration?
  }

  /// Notes that a round begins that looks at `byteCount` bytes of memory.
  func begin(_ progress: TransferProgress, of byteCount: ByteCount) -> Start {
    progress.begin(round: rounds.count + 1, of: byteCount.rawValue)
    return Start(guestTime: guestTime())
  }

  /// Notes that the round is over, in which these were made.
  mutating func end(_ start: Start, _ saves: [BlockSave?], channels: Int) {
    rounds.append(
      LiveRound(
        readBytes: saves.reduce(0) { $0 + ($1?.readBytes ?? 0) },
        changedBytes: saves.reduce(0) { $0 + ($1?.changedBytes ?? 0) },
        elapsed: ContinuousClock.now - start.time,
        limited: (limit?.takeWaited() ?? .zero) / channels,
        processors: shares(since: start, channels)))
  }

  /// Who has had the processors since then.
  private func shares(since start: Start, _ channels: Int) -> ProcessorShares? {
    guard let before = start.guestTime, let now = guestTime() else { return nil }
    return ProcessorShares(
      save: ResourceUsage.current().cpuTime - start.saveTime, guest: now - before,
      count: min(channels, Machine.processors))
  }

  /// What follows from the rounds so far.
  func step(_ progress: TransferProgress) -> LiveStep {
    progress.forecast(LiveForecast(after: rounds))
    return LiveStep.next(after: rounds, options)
  }

  /// Whether, as `step` says, another round is to follow while the VM runs.
  ///
  /// - Throws: `SaveError.doesNotConverge`.
  mutating func makesAnother(_ step: LiveStep) throws(ImageError) -> Bool {
    switch step {
    case .anotherRound: return true
    case .pause: return false
    case .doesNotConverge:
      hasConverged = false
      guard options.ifNotConverging == .pause else {
        let forecast = LiveForecast(after: rounds)
        throw .save(
          .doesNotConverge(
            rounds: rounds.count, expected: forecast.expectedDowntime,
            wanted: options.maximumDowntime,
            dirtyBytesPerSecond: forecast.dirtyBytesPerSecond))
      }
      return false
    }
  }

  /// Clears the slots of `plan` in `file` that hold an older version of a page that is zero now, and tells how the rounds went, of
  /// which the last was made while the VM was paused.
  consuming func finish(_ plan: SavePlan, in file: ImageFile) throws(ImageError) -> LiveReport {
    var clearedPages = 0
    for (index, state) in states.enumerated() {
      guard let state, let slots = plan.layout.blocks[index].pages else { continue }
      let stale = state.stalePages
      try file.clear(stale, plan.pageSize, slots: slots.lowerBound)
      clearedPages += stale.population
    }
    let before = rounds.dropLast()
    return LiveReport(
      rounds: Array(before), lastRound: rounds[before.count],
      forecast: before.isEmpty ? nil : LiveForecast(after: Array(before)),
      hasConverged: hasConverged,
      hashBytes: states.reduce(0) { $0 + UInt64($1?.hashByteCount ?? 0) },
      clearedPages: clearedPages)
  }
}
