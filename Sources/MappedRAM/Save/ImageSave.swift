public import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// Saves blocks and device state into an image, whole or not at all.
///
/// For pages that do not change meanwhile. A VM that runs is saved by `VMSave` of QEMUControl.
public struct ImageSave: Sendable {
  /// What is saved.
  public var plan: SavePlan
  /// How the channels work.
  public var options: ChannelOptions
  /// Whether the image gets checksums of its contents (FORMAT.md, section 10.5).
  public var hasChecksums: Bool
  /// An earlier image, whose blocks on the disk the new one shares where that can be: the report says what came of it. The image gets
  /// checksums then.
  public var base: BaseImage?
  /// Makes the channels' I/O in place of what the options ask for; for tests.
  var factory: (any ChannelIOFactory)?

  /// A save of `plan`.
  public init(_ plan: SavePlan, options: ChannelOptions = .standard) {
    self.plan = plan
    self.options = options
    hasChecksums = plan.hasChecksums
  }

  /// The same, with channels whose I/O `factory` makes; for tests.
  init(_ plan: SavePlan, options: ChannelOptions = .standard, factory: (any ChannelIOFactory)?) {
    self.init(plan, options: options)
    self.factory = factory
  }

  /// Writes the image to `path`.
  ///
  /// A new file appears under its name once it is complete and durable, in place of whatever had the name; until then nothing is
  /// visible, and nothing is left if this throws or the process is killed (where the file system has no O_TMPFILE, a process
  /// that is killed leaves a hidden file; `PendingFile`).
  /// Into a block device, or an existing file with `inPlace`, the image is written where it stays: what was there is made unreadable
  /// first, and the stream's first eight bytes are written last.
  ///
  /// - Parameter replacing: what may be at `path` before.
  /// - Throws: `ImageError`, after which nothing is left; `TargetError`, before anything is changed (its
  ///   comment has the exception).
  public func run(
    to path: FilePath, inPlace: Bool = false, replacing: Replacing = .images,
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> TransferReport {
    try begin(
      to: path, inPlace: inPlace, replacing: replacing, progress: progress,
      cancellation: cancellation
    ).writePages().finish()
  }

  /// Writes the image into `file`, where it stays; as into a file with `inPlace`.
  ///
  /// For files that have no name, or that somebody else opened. Direct I/O is as the file was opened.
  ///
  /// - Throws: as the other `run`.
  public func run(
    into file: File, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> TransferReport {
    try begin(into: file, progress: progress, cancellation: cancellation).writePages().finish()
  }

  /// Begins the image at `path`, as `run` does; the caller goes through its steps.
  ///
  /// - Parameters:
  ///   - live: how pages are saved that change meanwhile; `nil` where none will.
  ///   - guestTime: what the guest has used of this machine's processors so far, which the last round will have for itself; `nil`
  ///     where that is not known.
  /// - Throws: as `run`.
  package func begin(
    to path: FilePath, inPlace: Bool = false, replacing: Replacing = .images,
    live: LiveOptions? = nil, guestTime: @escaping @Sendable () -> Duration? = { nil },
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> OngoingSave {
    let stopwatch = Stopwatch()
    let rounds = try live.map { (live) throws(ImageError) in
      try LiveRounds(of: plan, live, guestTime: guestTime)
    }
    let draft = try ImageDraft.begin(
      plan, at: path, inPlace: inPlace, replacing: replacing, base: base,
      directIO: options.directIO, cancellation: cancellation)
    return try OngoingSave(self, draft, rounds, stopwatch, progress)
  }

  /// Begins the image in `file`, as `run` does; the caller goes through its steps.
  func begin(
    into file: File, progress: TransferProgress = TransferProgress(),
    cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> OngoingSave {
    let stopwatch = Stopwatch()
    let draft = try ImageDraft.begin(plan, in: ImageFile(file, cancellation: cancellation))
    return try OngoingSave(self, draft, nil, stopwatch, progress)
  }
}

extension ImageSave {
  /// The same save, whose requests `observer` is told of.
  package func observed(by observer: any RequestObserver) -> ImageSave {
    var save = self
    save.factory = TimedFactory(options.method, observer)
    return save
  }
}
