import LinuxIO
import MappedRAMFormat
import SystemPackage

/// A save whose image has been begun: rounds while the VM runs, where it is live, and a last one while nothing changes any more.
///
/// Round 1 writes every page that is not zero, and remembers the hash of each; a later round writes those whose hash is another one.
/// After each round all channels are waited for, so that no two versions of a page are under way at once. A save that is not live is
/// its last round alone, and hashes nothing. If it is dropped, at any moment, no image is left.
///
/// Where the pages of a VM that runs are sent before they change (`SentPages`), there is one round as well, and it needs no pause:
/// `save(beside:)`, then `saveDevices` while nothing changes, then `readPages` while the VM runs, and `writePages` for what is left.
///
/// ```swift
/// var save = try ImageSave(plan).begin(to: path, live: LiveOptions())
/// try save.runRounds()
/// // pause the VM, take its device state
/// let written = try save.writePages(wholePlan)
/// // resume the VM
/// let report = try written.finish()
/// ```
package struct OngoingSave: ~Copyable {
  private let options: ChannelOptions
  private let progress: TransferProgress
  private let stopwatch: Stopwatch
  /// The blocks as they were when the save was begun: their pages are read in every round.
  private let blocks: [SavePlan.Block]
  private let extentBytes: Int
  private var draft: ImageDraft
  private var pool: ChannelPool
  /// What only a live save in rounds has.
  private var live: LiveRounds?
  /// Pages that are sent before they change, where they are.
  private var sent: SentPages?
  /// What was made of each block that has been read beside these.
  private var blocksRead: [BlockSave?] = []
  private var hasReadPages = false
  /// Bytes of pages that the base has.
  private var sharedBytes: UInt64 = 0
  private var devices: DeviceWriter.Outcome?
  /// The sums of each block's chunks, where they are wanted and pages have no hashes, as they have in rounds.
  private let sums: [ChunkSums?]
  private let hasChecksums: Bool
  /// What is wanted of an earlier image, and its path.
  private let basePath: FilePath?

  /// The save of what `draft` is begun with.
  init(
    _ save: ImageSave, _ draft: consuming ImageDraft, _ live: LiveRounds?,
    _ stopwatch: Stopwatch, _ progress: TransferProgress
  ) throws(ImageError) {
    let sums: [ChunkSums?] =
      (save.hasChecksums || save.base != nil) && live == nil
      ? try ChunkSums.all(
        of: save.plan.blocks.map { $0.pages == nil || $0.block.isIgnored ? nil : $0.block },
        in: try draft.makeScratch())
      : save.plan.blocks.map { _ in nil }
    let extentBytes = ExtentPlan.extentBytes(
      for: save.plan.pageSize, requestBytes: save.options.requestBytes)
    pool = try ChannelPool(
      save.options, extentBytes: extentBytes, factory: save.factory, progress: progress,
      cancellation: draft.file.cancellation)
    self.extentBytes = extentBytes
    options = save.options
    blocks = save.plan.blocks
    hasChecksums = save.hasChecksums || save.base != nil
    basePath = save.base?.file.path
    self.sums = sums
    self.draft = draft
    self.live = live
    self.stopwatch = stopwatch
    self.progress = progress
  }

  /// The rounds so far.
  package var rounds: [LiveRound] { live?.rounds ?? [] }

  /// Makes rounds until the downtime will be short enough, or further ones would not help.
  ///
  /// - Parameter isGivenUp: asked after each round, with what follows from all so far: whether there is a better way than to go on.
  /// - Returns: whether the save is to go on: not where it is given up.
  /// - Precondition: the save is live.
  /// - Throws: `ImageError`; `SaveError.doesNotConverge` where further rounds would not help and the options say to fail then.
  @discardableResult
  package mutating func runRounds(
    unless isGivenUp: (_ rounds: [LiveRound], _ step: LiveStep) -> Bool = { _, _ in false }
  ) throws(ImageError) -> Bool {
    precondition(live != nil, "a live save has rounds")
    while true {
      _ = try makeRound(live?.limit)
      guard let step = live?.step(progress) else { return true }
      if isGivenUp(rounds, step) { return false }
      guard try live?.makesAnother(step) == true else { return true }
    }
  }

  /// Writes the pages that `sent` gets, besides those that are read. Before the first one comes.
  package mutating func save(beside sent: SentPages) {
    precondition(live == nil, "a live save in rounds reads all pages")
    sent.write(
      to: draft.file.file, slots: draft.plan.layout.blocks.map(\.pages?.lowerBound), pool.inlet,
      extentBytes: extentBytes, progress)
    self.sent = sent
  }

  /// Saves the states of the plan's devices, while nothing changes. When it returns no device is read any more.
  ///
  /// - Parameter plan: what is saved, as for `writePages`.
  /// - Throws: `ImageError`, after which nothing is left.
  package mutating func saveDevices(of plan: SavePlan) throws(ImageError) {
    try draft.complete(plan)
    let devices = try draft.startDevices(pool.inlet, extentBytes, progress)
    devices?.wait()
    try pool.sync()
    self.devices = devices?.outcome
  }

  /// Reads all pages of these blocks, counted as in the plan, while nothing changes: they may change later without being sent.
  ///
  /// - Throws: as `readPages`.
  package mutating func readPages(ofBlocks indices: Set<Int>) throws(ImageError) {
    guard let sent else { preconditionFailure("pages that change are sent") }
    guard !indices.isEmpty else { return }
    keep(try makeRound(nil, of: indices))
    for index in indices { sent.finish(block: index) }
  }

  /// Reads all pages that have not been, each as it was before it changed, which those that are sent see to.
  ///
  /// When it returns no page is read any more, nor one taken that is sent.
  ///
  /// - Throws: `ImageError`, after which nothing is left; `SaveError.notHeld`, at once, where pages are not sent any more.
  package mutating func readPages() throws(ImageError) {
    guard let sent else { preconditionFailure("pages that change are sent") }
    progress.plan(draft.plan.ramTotal.rawValue)
    let rest = Set(blocks.indices).filter { blocksRead.isEmpty || blocksRead[$0] == nil }
    let found = try makeRound(nil, of: rest)
    sent.finish()
    try pool.sync()
    try sent.checkHeld()
    keep(found)
    hasReadPages = true
  }

  private mutating func keep(_ found: [BlockSave?]) {
    blocksRead = blocksRead.isEmpty ? found : zip(blocksRead, found).map { $0 ?? $1 }
  }

  /// Makes the last round, while nothing changes any more, and saves the states of the plan's devices beside it; where all pages have
  /// been read, neither.
  ///
  /// When it returns no source is read any more, of pages or of a device's state: a VM whose memory they are may be resumed.
  ///
  /// - Parameter plan: what is saved, where its tail was not known before. Its slots are those of the plan that was begun with.
  /// - Throws: `ImageError`, after which nothing is left; `SaveError.slotsDiffer` where the plan has other slots.
  package consuming func writePages(_ plan: SavePlan? = nil) throws(ImageError) -> WrittenSave {
    if let plan { try draft.complete(plan) }
    var stored = devices
    let blocks: [BlockSave?]
    if hasReadPages {
      blocks = blocksRead
      try sumSentPages()
    } else {
      if live == nil { progress.plan(draft.plan.ramTotal.rawValue) }
      let devices = try draft.startDevices(pool.inlet, extentBytes, progress)
      blocks = try makeRound(nil)
      // The devices may still be queueing buffers: they are waited for, and then what they have queued.
      devices?.wait()
      try pool.sync()
      stored = devices?.outcome
    }
    // The channels end; they have nothing to do any more.
    let channels = try pool.finish()
    return WrittenSave(
      draft, blocks: blocks, sums: blockSums, base: baseReport, live: live, sent: sent?.report,
      devices: stored, channels: channels,
      options: options, stopwatch: stopwatch)
  }

  /// What came of the image that was to be the base.
  private var baseReport: BaseReport? {
    guard let basePath else { return nil }
    var report = BaseReport(path: basePath, obstacle: draft.baseObstacle)
    report.sharedBytes = sharedBytes
    return report
  }

  /// Takes the sums of the chunks with pages that were sent, of which no channel has seen all: of what is in their slots by now.
  private mutating func sumSentPages() throws(ImageError) {
    guard hasChecksums else { return }
    for (index, save) in blocksRead.enumerated() {
      guard let save, let sums = sums[index], let slots = draft.plan.layout.blocks[index].pages,
        let pages = sums.summer.wholeChunks(of: save.sentPages, in: save.bitmap)
      else { continue }
      let transfer = SlotSums(
        blocks[index].block, pages, in: .file(draft.file.file), at: slots.lowerBound.rawValue,
        to: sums, extentBytes: extentBytes)
      progress.plan(transfer.byteCount)
      pool.enqueue(transfer)
    }
    try pool.sync()
  }

  /// What is known of the chunks of each block; `nil` where no checksums are wanted.
  private var blockSums: [BlockSums?]? {
    guard hasChecksums else { return nil }
    if let live { return live.states.map { $0.map { .pages($0) } } }
    return sums.map { $0.map { .chunks($0) } }
  }

  /// Saves the pages of each block, or those that are not in their slots as they are now, and waits until that is done; `nil` for a
  /// block that is left out.
  ///
  /// - Parameter indices: the blocks, if not all.
  private mutating func makeRound(
    _ limit: BandwidthLimit?, of indices: Set<Int>? = nil
  ) throws(ImageError) -> [BlockSave?] {
    let start = live?.begin(progress, of: draft.plan.ramTotal)
    let isFirst = live?.rounds.isEmpty ?? true
    // Later rounds find little to write: extents that stay in a core's cache are read and hashed faster.
    let extentBytes =
      isFirst ? extentBytes : ExtentPlan.leastExtentBytes(for: draft.plan.pageSize)
    let gapBytes = draft.plan.keepsHoles || draft.base != nil ? 0 : BlockSave.gapBytes
    var saves: [BlockSave?] = []
    for (index, block) in blocks.enumerated() {
      guard indices?.contains(index) != false, let source = block.pages,
        let slots = draft.plan.layout.blocks[index].pages
      else {
        saves.append(nil)
        continue
      }
      let base =
        isFirst && block.presentZeros == nil
        ? draft.base?.entries(
          ofBlock: index,
          ExtentPlan(
            byteCount: block.usedLength.rawValue, pageSize: block.pageSize,
            extentBytes: extentBytes)) : nil
      let save =
        if let states = live?.states[index] {
          BlockSave(
            block.block, from: source, to: draft.file.file, slots: slots.lowerBound, states: states,
            limit: limit, isFirst: isFirst, base: base, extentBytes: extentBytes)
        } else if let sent {
          BlockSave(
            block.block, from: source, to: draft.file.file, slots: slots.lowerBound, beside: sent,
            index, gapBytes: gapBytes, sums: sums[index], base: base,
            extentBytes: extentBytes)
        } else {
          BlockSave(
            block.block, from: source, to: draft.file.file, slots: slots.lowerBound,
            forced: block.presentZeros, gapBytes: gapBytes, sums: sums[index], base: base,
            extentBytes: extentBytes)
        }
      pool.enqueue(save)
      saves.append(save)
    }
    try pool.sync()
    sharedBytes += saves.reduce(0) { $0 + ($1?.sharedBytes ?? 0) }
    if let start { live?.end(start, saves, channels: options.channels) }
    return saves
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
