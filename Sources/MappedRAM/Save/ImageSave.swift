public import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// Saves blocks and device state into an image, whole or not at all.
public struct ImageSave: Sendable {
  /// What is saved.
  public var plan: SavePlan
  /// How the channels work.
  public var options: ChannelOptions
  /// Makes the channels' I/O in place of what the options ask for; for tests.
  var factory: (any ChannelIOFactory)?

  /// What the caller does at a certain point of a save; an error ends the save.
  public typealias Hook = () throws(ImageError) -> Void

  /// A save of `plan`.
  public init(_ plan: SavePlan, options: ChannelOptions = .standard) {
    self.plan = plan
    self.options = options
  }

  /// Writes the image to `path`.
  ///
  /// A new file appears under its name once it is complete and durable, in place of whatever had the name; until then nothing is
  /// visible, and nothing is left if this throws or the process is killed (`PendingFile` has the one moment in which it is not so).
  /// Into a block device, or an existing file with `inPlace`, the image is written where it stays: what was there is made unreadable
  /// first, and the stream's first eight bytes are written last.
  ///
  /// - Parameters:
  ///   - replacing: what may be at `path` before.
  ///   - pagesAreRead: called by this thread once no source, of pages or of a device's state, is read any more: a VM whose
  ///     memory they are may go on. Bitmaps, device state, syncing and reading back are still to come.
  ///   - beforeCommit: called by this thread once the image is complete, has been read back, and its bytes are durable, right
  ///     before it gets its name, or in place its header.
  /// - Throws: `ImageError`; `PlanError.notAnImage`, `.anotherVM` and `.usedByQEMU`, before anything is changed; also the error of a
  ///   hook, after which nothing is left as after any other; `.plan(.writtenImage)` if what was written does not read as an image,
  ///   which happens only where the device state that was handed in is not right.
  public func run(
    to path: FilePath, inPlace: Bool = false, replacing: Replacing = .images,
    progress: Progress = Progress(), cancellation: Cancellation = Cancellation(),
    pagesAreRead: Hook = {}, beforeCommit: Hook = {}
  ) throws(ImageError) -> TransferReport {
    let stopwatch = Stopwatch()
    let target = try ImageTarget(
      at: path, inPlace: inPlace, streamOffset: plan.layout.streamOffset, replacing: replacing,
      vm: plan.vm, directIO: options.directIO)
    return try write(
      target, stopwatch, progress, cancellation, pagesAreRead, beforeCommit)
  }

  /// Writes the image into `file`, where it stays; as into a file with `inPlace`.
  ///
  /// For files that have no name, or that somebody else opened. Direct I/O is as the file was opened.
  ///
  /// - Parameters: as of the other `run`.
  /// - Throws: as the other `run`.
  public func run(
    into file: File, progress: Progress = Progress(), cancellation: Cancellation = Cancellation(),
    pagesAreRead: Hook = {}, beforeCommit: Hook = {}
  ) throws(ImageError) -> TransferReport {
    try write(ImageTarget(file), Stopwatch(), progress, cancellation, pagesAreRead, beforeCommit)
  }

  private func write(
    _ target: consuming ImageTarget, _ stopwatch: Stopwatch, _ progress: Progress,
    _ cancellation: Cancellation, _ pagesAreRead: Hook, _ beforeCommit: Hook
  ) throws(ImageError) -> TransferReport {
    let file = target.file
    try target.prepare(for: plan)
    let written = try ImageWriter(plan, to: file, cancellation: cancellation)
      .writePages(options, factory: factory, progress: progress)
    try pagesAreRead()
    var plan = plan
    if file.kind == .regular, plan.statesZeroSlots, written.fillsGaps,
      let stating = try plan.statingZeroSlots()
    {
      plan = stating
      try target.resize(for: plan)
    }
    try target.commit(plan, written.contents, cancellation, beforeCommit: beforeCommit)
    let pages = written.contents.bitmaps.reduce(0) { $0 + ($1?.population ?? 0) }
    return stopwatch.report(
      ramBytes: plan.ramTotal.rawValue,
      presentBytes: UInt64(pages) * UInt64(plan.pageSize.byteCount), channels: written.report,
      options: options, image: file, devices: written.devices)
  }
}
