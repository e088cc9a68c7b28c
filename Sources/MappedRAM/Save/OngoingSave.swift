import LinuxIO
import MappedRAMFormat

/// A save whose image has been begun: rounds while the VM runs, where it is live, and then the pass that completes it.
///
/// Round 1 writes every page that is not zero, and remembers the hash of each; each further round writes those whose hash has changed. Between two rounds
/// all channels are waited for, so that no two versions of a page are under way at once. Dropped at any moment, nothing is
/// left.
public struct OngoingSave: ~Copyable {
  private let options: ChannelOptions
  private let progress: TransferProgress
  private let stopwatch: Stopwatch
  /// The blocks as they were when the save was begun: their pages are read in every round.
  private let blocks: [SavePlan.Block]
  private let extentBytes: Int
  private var draft: ImageDraft
  private var pool: ChannelPool
  /// What only a live save has.
  private var live: LiveRounds?

  /// The save of what `draft` is begun with.
  init(
    _ save: ImageSave, _ draft: consuming ImageDraft, _ live: LiveRounds?,
    _ stopwatch: Stopwatch, _ progress: TransferProgress
  ) throws(ImageError) {
    let extentBytes = ExtentPlan.extentBytes(
      for: save.plan.pageSize, requestBytes: save.options.requestBytes)
    pool = try ChannelPool(
      save.options, extentBytes: extentBytes, factory: save.factory, progress: progress,
      cancellation: draft.file.cancellation)
    self.extentBytes = extentBytes
    options = save.options
    blocks = save.plan.blocks
    self.draft = draft
    self.live = live
    self.stopwatch = stopwatch
    self.progress = progress
  }

  /// The rounds so far.
  public var rounds: [LiveRound] { live?.rounds ?? [] }

  /// Makes rounds until the pause will be short enough, or further ones would not help.
  ///
  /// - Parameter beforeRound: called by this thread before each; an error ends the save.
  /// - Precondition: the save is live.
  /// - Throws: `ImageError`; `PlanError.stuck` where further rounds would not help and the options say to fail then.
  public mutating func runRounds(beforeRound: ImageSave.Hook = {}) throws(ImageError) {
    precondition(live != nil, "a live save has rounds")
    repeat {
      try beforeRound()
      _ = try pass(live?.limit)
    } while try live?.goesOn(progress) == true
  }

  /// Makes the last pass, while nothing changes any more, saves the states of the plan's devices beside it, and completes the image.
  ///
  /// - Parameters:
  ///   - plan: what is saved, where its tail was not known before. Its slots are those of the plan that was begun with.
  ///   - pagesAreRead: as of `ImageSave.run`.
  ///   - beforeCommit: as of `ImageSave.run`.
  /// - Throws: `ImageError`, after which nothing is left; `PlanError.slotsDiffer` where the plan has other slots.
  public consuming func finish(
    _ plan: SavePlan? = nil, pagesAreRead: ImageSave.Hook = {}, beforeCommit: ImageSave.Hook = {}
  ) throws(ImageError) -> TransferReport {
    if let plan { try draft.complete(plan) }
    let plan = draft.plan
    let file = draft.file
    if live == nil { progress.plan(plan.ramTotal.rawValue) }
    let saving = try draft.startDevices(pool.inlet, extentBytes, progress)
    let passes = try pass(nil)
    saving?.wait()
    try pool.sync()
    let stored = saving?.outcome
    let channels = try pool.finish()
    try pagesAreRead()
    let report = try live?.finish(plan, in: file)
    let bitmaps = passes.map { $0?.present.bitmap }
    let (options, stopwatch) = (options, stopwatch)
    try draft.commit(
      ImageDraft.Contents(
        bitmaps: bitmaps, area: stored?.area,
        fillsGaps: passes.contains { $0?.fillsGaps == true }), beforeCommit: beforeCommit)
    let pages = bitmaps.reduce(0) { $0 + ($1?.population ?? 0) }
    return stopwatch.report(
      ramBytes: plan.ramTotal.rawValue,
      presentBytes: UInt64(pages) * UInt64(plan.pageSize.byteCount), channels: channels,
      options: options, image: file.file, devices: stored?.reports ?? [], live: report)
  }

  /// Makes a pass over the pages of each block, and waits for its end; `nil` for one that is left out.
  private mutating func pass(_ limit: BandwidthLimit?) throws(ImageError) -> [PageRound?] {
    let start = live?.begin(progress, of: draft.plan.ramTotal)
    // Later rounds find little to write: extents that stay in a core's cache are read and hashed faster.
    let isFirst = live?.rounds.isEmpty ?? true
    let cached = ExtentPlan.extentBytes(for: draft.plan.pageSize, requestBytes: 1)
    let extentBytes = isFirst ? extentBytes : min(extentBytes, cached)
    var passes: [PageRound?] = []
    for (index, block) in blocks.enumerated() {
      guard let pages = block.pages, let slots = draft.plan.layout.blocks[index].pages else {
        passes.append(nil)
        continue
      }
      let pass =
        if let state = live?.states[index] {
          PageRound(
            block.block, from: pages, to: draft.file.file, slots: slots.lowerBound, state: state,
            limit: limit, isFirst: isFirst, extentBytes: extentBytes)
        } else {
          PageRound(
            block.block, from: pages, to: draft.file.file, slots: slots.lowerBound,
            forced: block.presentZeros,
            gapBytes: draft.plan.keepsHoles ? 0 : PageRound.gapBytes, extentBytes: extentBytes)
        }
      pool.enqueue(pass)
      passes.append(pass)
    }
    try pool.sync()
    if let start { live?.end(start, passes, channels: options.channels) }
    return passes
  }
}

extension ImageDraft {
  /// Starts the tasks of the plan's devices, if it has some. The file has room up to the end of the stream.
  fileprivate func startDevices(
    _ inlet: WorkInlet, _ extentBytes: Int, _ progress: TransferProgress
  ) throws(ImageError) -> DeviceWriter? {
    guard !plan.devices.isEmpty else { return nil }
    var saving = try DeviceWriter(
      plan, to: file.file, fileEnd: file.end().rawValue, inlet: inlet, extentBytes: extentBytes,
      progress: progress)
    try saving.start()
    return saving
  }
}
