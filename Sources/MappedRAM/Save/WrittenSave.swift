import LinuxIO
import MappedRAMFormat

/// A save whose pages and devices' states are in the file. The rest of the image follows. If it is dropped before it is finished, no image is
/// left.
package struct WrittenSave: ~Copyable {
  private let draft: ImageDraft
  /// What was made of each block in the last round; `nil` for one that is left out.
  private let blocks: [BlockSave?]
  private let sums: [BlockSums?]?
  private let base: BaseReport?
  private let live: LiveRounds?
  private let sent: SentReport?
  private let devices: DeviceWriter.Outcome?
  private let channels: ChannelReport
  private let options: ChannelOptions
  private let stopwatch: Stopwatch

  init(
    _ draft: consuming ImageDraft, blocks: [BlockSave?], sums: [BlockSums?]?,
    base: BaseReport?, live: LiveRounds?, sent: SentReport?,
    devices: DeviceWriter.Outcome?, channels: ChannelReport, options: ChannelOptions,
    stopwatch: Stopwatch
  ) {
    self.draft = draft
    self.blocks = blocks
    self.sums = sums
    self.base = base
    self.live = live
    self.sent = sent
    self.devices = devices
    self.channels = channels
    self.options = options
    self.stopwatch = stopwatch
  }

  /// Writes headers, bitmaps and device state, reads them back, makes all of it durable, and makes an image of it.
  ///
  /// - Parameter beforeCommit: called once the image is complete, has been read back, and its bytes are durable, right before it gets
  ///   its name, or in place its header.
  /// - Throws: `ImageError`, after which there is no image, unless only the directory could not be synced (`PendingFile.commit`);
  ///   `SaveError.unreadable` if what was written does not read as an image, which happens only where the device state that was handed in
  ///   is not right.
  package consuming func finish(
    beforeCommit: () -> Void = {}
  ) throws(ImageError) -> TransferReport {
    let (plan, file) = (draft.plan, draft.file)
    let report = try live?.finish(plan, in: file)
    let bitmaps = blocks.map { $0?.bitmap }
    try clearSlotsOfBase(bitmaps)
    let contents = ImageDraft.Contents(
      bitmaps: bitmaps, area: devices?.area, sums: sums,
      fillsGaps: blocks.contains { $0?.fillsGaps == true } || draft.base?.statesZeroSlots == true)
    let (devices, channels) = (devices, channels)
    let (options, stopwatch) = (options, stopwatch)
    let (sent, base) = (sent, base)
    let hasChecksums = sums != nil
    let end = try draft.commit(contents, beforeCommit: beforeCommit)
    let pages = bitmaps.reduce(0) { $0 + ($1?.population ?? 0) }
    var done = stopwatch.report(
      ramBytes: plan.ramTotal.rawValue,
      presentBytes: UInt64(pages) * UInt64(plan.pageSize.byteCount), channels: channels,
      options: options, image: file.file, end: end, devices: devices?.reports ?? [], live: report,
      sent: sent)
    done.hasChecksums = hasChecksums
    done.base = base
    return done
  }

  /// Clears slots of absent pages that hold what the base has there.
  private func clearSlotsOfBase(_ bitmaps: [PageBitmap?]) throws(ImageError) {
    guard let base = draft.base else { return }
    for (index, bitmap) in bitmaps.enumerated() {
      guard let bitmap, let slots = draft.plan.layout.blocks[index].pages else { continue }
      let stale = try base.stalePages(ofBlock: index, besides: bitmap, in: draft.file.file)
      try draft.file.clear(stale, draft.plan.pageSize, slots: slots.lowerBound)
    }
  }
}
