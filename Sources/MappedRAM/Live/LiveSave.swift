import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// Saves blocks that change meanwhile: in rounds, of which the last is made while nothing changes.
///
/// Round 1 writes every page and remembers its hash; each further round writes those whose hash has changed. Between two rounds
/// all channels are waited for, so that no two versions of a page are under way at once. Dropped at any moment, nothing is
/// left.
///
/// ```swift
/// var save = try LiveSave(plan, to: path)
/// let isStuck = try save.runRounds()
/// // pause the VM, take its device state
/// let report = try save.finish(wholePlan)
/// ```
public struct LiveSave: ~Copyable {
  private let plan: SavePlan
  private let options: ChannelOptions
  private let live: LiveOptions
  private let progress: Progress
  private let cancellation: Cancellation
  private let stopwatch: Stopwatch
  private let target: ImageTarget
  private var pool: ChannelPool
  private let blocks: [Block]
  private let extentBytes: Int
  private let limit: BandwidthLimit?
  private let guestTime: @Sendable () -> Duration?
  /// The rounds so far.
  public private(set) var rounds: [LiveRound] = []
  private var isStuck = false

  /// A block with its slots and what is known of its pages.
  private struct Block {
    var block: RAMBlock
    var pages: any PageSource
    var slots: FileOffset
    var state: RoundPages
  }

  /// Makes room for an image at `path`; as `ImageSave.run`.
  ///
  /// - Parameters:
  ///   - plan: what is saved, with any tail; `finish` has the right one.
  ///   - guestTime: what the guest has used of this machine's processors so far, which the last round will have for itself; `nil`
  ///     where that is not known.
  /// - Throws: `ImageError`.
  public init(
    _ plan: SavePlan, to path: FilePath, inPlace: Bool = false, replacing: Replacing = .images,
    options: ChannelOptions = .standard, live: LiveOptions = LiveOptions(),
    guestTime: @escaping @Sendable () -> Duration? = { nil }, progress: Progress = Progress(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    try self.init(
      plan, to: path, inPlace: inPlace, replacing: replacing, options: options, live: live,
      guestTime: guestTime, progress: progress, cancellation: cancellation, factory: nil)
  }

  /// As the other, with channels whose I/O `factory` makes; for tests.
  init(
    _ plan: SavePlan, to path: FilePath, inPlace: Bool = false, replacing: Replacing = .images,
    options: ChannelOptions = .standard, live: LiveOptions = LiveOptions(),
    guestTime: @escaping @Sendable () -> Duration? = { nil }, progress: Progress = Progress(),
    cancellation: Cancellation = Cancellation(), factory: (any ChannelIOFactory)?
  ) throws(ImageError) {
    let stopwatch = Stopwatch()
    let extentBytes = ExtentPlan.extentBytes(for: plan.pageSize, requestBytes: options.requestBytes)
    var blocks: [Block] = []
    for (block, layout) in zip(plan.blocks, plan.layout.blocks) {
      guard let pages = block.pages, let slots = layout.pages else { continue }
      let state = try calling { () throws(SystemCallError) in try RoundPages(block.block) }
      blocks.append(
        Block(block: block.block, pages: pages, slots: slots.lowerBound, state: state))
    }
    let target = try ImageTarget(
      at: path, inPlace: inPlace, streamOffset: plan.layout.streamOffset, replacing: replacing,
      vm: plan.vm, directIO: options.directIO)
    try target.prepare(for: plan)
    let pool = try ChannelPool(
      options, extentBytes: extentBytes, factory: factory, progress: progress,
      cancellation: cancellation)
    self.plan = plan
    self.options = options
    self.live = live
    self.guestTime = guestTime
    self.progress = progress
    self.cancellation = cancellation
    self.stopwatch = stopwatch
    self.target = target
    self.pool = pool
    self.blocks = blocks
    self.extentBytes = extentBytes
    limit = live.bytesPerSecond.map { BandwidthLimit(bytesPerSecond: $0) }
  }

  /// Makes rounds until the pause will be short enough, or further ones would not help.
  ///
  /// - Parameter beforeRound: called by this thread before each; an error ends the save.
  /// - Throws: `ImageError`; `PlanError.stuck` where further rounds would not help and the options say to fail then.
  public mutating func runRounds(
    beforeRound: ImageSave.Hook = {}
  ) throws(ImageError) {
    while true {
      try beforeRound()
      rounds.append(try round(number: rounds.count + 1, limit))
      let forecast = LiveForecast(after: rounds)
      progress.forecast(forecast)
      switch LiveStep.next(after: rounds, live) {
      case .goOn: continue
      case .pause: return
      case .stuck:
        isStuck = true
        guard live.whenStuck == .pause else {
          throw .plan(
            .stuck(
              rounds: rounds.count, expected: forecast.expectedPause,
              wanted: live.maximumPause, dirtyBytesPerSecond: forecast.dirtyBytesPerSecond))
        }
        return
      }
    }
  }

  /// Makes the last round, while nothing changes any more, saves the states of the plan's devices beside it, and completes the image.
  ///
  /// - Parameters:
  ///   - plan: what is saved, with its tail. Its slots are those of the plan before.
  ///   - pagesAreRead: as of `ImageSave.run`.
  ///   - beforeCommit: as of `ImageSave.run`.
  /// - Throws: `ImageError`, after which nothing is left; `PlanError.slotsDiffer` where the plan has other slots.
  public consuming func finish(
    _ plan: SavePlan, pagesAreRead: ImageSave.Hook = {}, beforeCommit: ImageSave.Hook = {}
  ) throws(ImageError) -> (transfer: TransferReport, live: LiveReport) {
    guard plan.layout.blocks == self.plan.layout.blocks else {
      throw .plan(.slotsDiffer(target.file.path))
    }
    let file = target.file
    try target.resize(for: plan)
    let saving = try ImageWriter(plan, to: file, cancellation: cancellation)
      .startDevices(pool.inlet, extentBytes, progress)
    let last = try round(number: rounds.count + 1, nil)
    saving?.wait()
    try pool.sync()
    let stored = saving?.outcome
    let channels = try pool.finish()
    try pagesAreRead()
    var cleared = 0
    for block in blocks {
      cleared += try FreedSlots(
        block.state.stalePages, of: block.block, at: block.slots, in: file
      ).clear(cancellation)
    }
    let bitmaps = bitmaps(of: plan)
    let report = LiveReport(
      rounds: rounds, lastRound: last, forecast: rounds.isEmpty ? nil : LiveForecast(after: rounds),
      isStuck: isStuck,
      hashBytes: blocks.reduce(0) { $0 + UInt64($1.state.hashByteCount) },
      clearedPages: cleared)
    let (options, stopwatch) = (options, stopwatch)
    let contents = ImageWriter.Contents(bitmaps: bitmaps, area: stored?.area)
    try target.commit(plan, contents, cancellation, beforeCommit: beforeCommit)
    let pages = bitmaps.reduce(0) { $0 + ($1?.population ?? 0) }
    return (
      stopwatch.report(
        ramBytes: plan.ramTotal.rawValue,
        presentBytes: UInt64(pages) * UInt64(plan.pageSize.byteCount), channels: channels,
        options: options, image: file, devices: stored?.reports ?? []), report
    )
  }

  /// For each block of the plan which pages it has now; `nil` for one that is left out.
  private func bitmaps(of plan: SavePlan) -> [PageBitmap?] {
    let found = Dictionary(
      blocks.map { ($0.block.idstr, $0.state.present.bitmap) }, uniquingKeysWith: { $1 })
    return plan.blocks.map { found[$0.block.idstr] }
  }

  /// Who has had the processors since they had used these times.
  private func shares(since saveTime: Duration, _ guestTime: Duration?) -> ProcessorShares? {
    guard let guestTime, let now = self.guestTime() else { return nil }
    return ProcessorShares(
      save: ResourceUsage.current().cpuTime - saveTime, guest: now - guestTime,
      count: min(options.channels, Machine.processors))
  }

  private func round(number: Int, _ limit: BandwidthLimit?) throws(ImageError) -> LiveRound {
    let start = ContinuousClock.now
    let (saveTime, guestTime) = (ResourceUsage.current().cpuTime, self.guestTime())
    progress.begin(round: number, of: plan.ramTotal.rawValue)
    // Later rounds find little to write: extents that stay in a core's cache are read and hashed faster.
    let extentBytes =
      number == 1
      ? extentBytes : min(extentBytes, ExtentPlan.extentBytes(for: plan.pageSize, requestBytes: 1))
    var saves: [RoundSave] = []
    for block in blocks {
      let save = RoundSave(
        block.block, from: block.pages, to: target.file, slots: block.slots, state: block.state,
        limit: limit, isFirst: number == 1, extentBytes: extentBytes)
      pool.enqueue(save)
      saves.append(save)
    }
    try pool.sync()
    return LiveRound(
      readBytes: saves.reduce(0) { $0 + $1.readBytes },
      changedBytes: saves.reduce(0) { $0 + $1.changedBytes },
      elapsed: ContinuousClock.now - start,
      limited: (limit?.takeWaited() ?? .zero) / options.channels,
      processors: shares(since: saveTime, guestTime))
  }
}

/// How a live save went.
public struct LiveReport: Equatable, Sendable {
  /// The rounds while the VM ran.
  public var rounds: [LiveRound]
  /// The round while it stood still.
  public var lastRound: LiveRound
  /// What followed from the rounds right before the pause; `nil` where there was none.
  public var forecast: LiveForecast?
  /// Whether the VM was paused though the pause would be longer than was wished.
  public var isStuck: Bool
  /// Bytes of memory for hashes, at most: 16 a page.
  public var hashBytes: UInt64
  /// Slots that held an older version of a page that is zero now, and were cleared.
  public var clearedPages: Int
}
