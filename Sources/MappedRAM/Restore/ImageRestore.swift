package import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Takes an image's RAM out of it, into targets of any kind.
public struct ImageRestore: Sendable {
  /// The image.
  package var file: File
  /// Where the stream begins; `nil` where the container says, or at 0.
  public var streamOffset: FileOffset?
  /// How the channels work.
  public var options: ChannelOptions
  /// How much of devices' states may be in memory.
  public var deviceLimits = DeviceLimits.standard
  /// The sums that pages are compared with as they are read; `nil` where they are not.
  package var sums: SumsArea?
  /// Makes the channels' I/O in place of what the options ask for; for tests.
  var factory: (any ChannelIOFactory)?

  /// A restore from `file`.
  package init(_ file: File, streamOffset: FileOffset? = nil, options: ChannelOptions = .standard) {
    self.file = file
    self.streamOffset = streamOffset
    self.options = options
  }

  /// A restore from the file or device at `path`.
  ///
  /// - Throws: `ImageError.system`.
  public init(
    at path: FilePath, streamOffset: FileOffset? = nil, options: ChannelOptions = .standard
  ) throws(ImageError) {
    let file = try ImageFile(opening: path, directIO: options.directIO).file
    self.init(file, streamOffset: streamOffset, options: options)
  }

  /// What was restored.
  public struct Outcome: Sendable {
    /// The image's structures.
    public var image: Image
    /// For each block of the image that had a target, the pages that are present though they are zero.
    public var presentZeros: [String: PageBitmap]
    /// What it took.
    public var report: TransferReport
  }

  /// Restores each block for which `target` gives a target.
  ///
  /// A block's pages are queued as soon as its entry has been parsed; the channels are at work while the next entries and the rest
  /// of the stream are read, and while devices take their states. There is one sync, once all is queued, and another only where a
  /// device wants to be loaded last.
  ///
  /// - Parameters:
  ///   - device: called for each device whose state stands behind the stream; `nil` passes over it.
  ///   - target: called for each block in the list's order; `nil` passes over the block.
  /// - Throws: `ImageError`: whatever is wrong with the image or its blocks, `contents` where pages have other sums than they are to
  ///   have. The targets' contents mean nothing then.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation(),
    device: (StoredDevice) throws(ImageError) -> (any DeviceStateTarget)? = { _ in nil },
    target: (ImageBlock) throws(ImageError) -> (any PageTarget)?
  ) throws(ImageError) -> Outcome {
    let stopwatch = Stopwatch()
    var reader = try ImageReader(
      ImageFile(file, cancellation: cancellation), streamOffset: streamOffset)
    // Before areas behind the stream are found, which are no part of what is read.
    var image = Image(path: file.path, fileSize: reader.cursor.window.end)
    try throwIfAny(reader.readContainer())
    // What is damaged of them is told by the image in the end.
    _ = try reader.locateAreas()
    try reader.cursor.locateDescription()
    image.prologue = try reader.readPrologue()
    image.ramTotal = reader.list.total

    var session: Session?
    while var block = try reader.nextBlock() {
      if session == nil {
        session = try Session(
          self, pageSize: block.pageSize, progress: progress, cancellation: cancellation)
      }
      if let bitmap = try reader.readBitmap(of: block) {
        block.pagesPresent = bitmap.population
        if let pages = try target(block) { try session?.enqueue(block, bitmap, to: pages) }
      }
      image.blocks.append(block)
    }
    let tailStart = reader.position
    image.tail = tailStart..<(try reader.readTail())
    try throwIfAny(reader.incompleteness)
    do throws(ImageError) {
      try reader.readAreas()
    } catch {
      guard case .format = error, !reader.lacksNeededArea else { throw error }
    }
    if reader.lacksNeededArea, case .damaged(_, let problem) = reader.areas {
      throw .format(problem, in: file.path)
    }
    image.take(reader)
    let devices = try loads(of: image, device)
    if !devices.isEmpty, session == nil {
      session = try Session(
        self, pageSize: .fourKiB, progress: progress, cancellation: cancellation)
    }
    let reports = try session?.finish(devices, limits: deviceLimits) ?? []
    try session?.checkContents()
    // A machine without RAM has an image without blocks, which is nothing to start channels for.
    let channels = try session?.pool.finish() ?? .idle
    let restores = session?.restores ?? [:]
    let present = restores.reduce(into: UInt64(0)) { $0 += $1.value.presentBytes }
    return Outcome(
      image: image, presentZeros: restores.mapValues(\.presentZeros.bitmap),
      report: stopwatch.report(
        ramBytes: progress.totalBytes - reports.reduce(0) { $0 + $1.byteCount },
        presentBytes: present, channels: channels, options: options, image: file,
        end: image.fileSize,
        devices: reports))
  }

  /// The devices of `image` that have a target.
  private func loads(
    of image: Image, _ target: (StoredDevice) throws(ImageError) -> (any DeviceStateTarget)?
  ) throws(ImageError) -> [DeviceTarget] {
    var loads: [DeviceTarget] = []
    for stored in image.deviceArea?.devices ?? [] {
      if let target = try target(stored) {
        loads.append(DeviceTarget(stored: stored, target: target))
      }
    }
    return loads
  }

  private func throwIfAny(_ problem: FormatError?) throws(ImageError) {
    if let problem { throw .format(problem, in: file.path) }
  }

  /// The channels and what they were given.
  private struct Session: ~Copyable {
    var pool: ChannelPool
    var restores: [String: BlockRestore] = [:]
    private let file: File
    private let sums: SumsArea?
    private var blocks: [ImageBlock] = []
    private let extentBytes: Int
    private let progress: TransferProgress

    init(
      _ restore: ImageRestore, pageSize: PageSize, progress: TransferProgress,
      cancellation: Cancellation
    ) throws(ImageError) {
      file = restore.file
      sums = restore.sums
      self.progress = progress
      extentBytes = ExtentPlan.extentBytes(
        for: pageSize, requestBytes: restore.options.requestBytes)
      pool = try ChannelPool(
        restore.options, extentBytes: extentBytes, factory: restore.factory, progress: progress,
        cancellation: cancellation)
    }

    /// Loads `devices` beside what is queued, and waits for all.
    func finish(
      _ devices: [DeviceTarget], limits: DeviceLimits
    ) throws(ImageError) -> [DeviceReport] {
      guard !devices.isEmpty else {
        try pool.sync()
        return []
      }
      var loading = try DeviceReader(
        devices, limits: limits, from: file, inlet: pool.inlet, extentBytes: extentBytes,
        progress: progress)
      try loading.start()
      loading.wait()
      try pool.sync()
      if devices.contains(where: \.target.loadsLast) {
        try loading.startLast()
        loading.wait()
        try pool.sync()
      }
      return loading.reports
    }

    mutating func enqueue(
      _ block: ImageBlock, _ bitmap: PageBitmap, to pages: any PageTarget
    ) throws(ImageError) {
      guard let slots = block.layout.pages else { return }
      let entries = sums?.entries(of: block)?.entries
      if sums != nil, entries == nil { throw .contents(file.path, .foreignSums) }
      progress.plan(block.usedLength.rawValue)
      let restore = BlockRestore(
        block.block, bitmap: bitmap, from: file, slots: slots.lowerBound, to: pages,
        extentBytes: extentBytes, comparingWith: entries?.lowerBound)
      restores[block.idstr] = restore
      blocks.append(block)
      pool.enqueue(restore)
    }

    /// Makes sure that all that was read has the sums that it is to have. After a sync.
    func checkContents() throws(ImageError) {
      var damage: [ImageVerification.Damage] = []
      for block in blocks {
        guard let found = restores[block.idstr]?.comparison?.outcome, let slots = block.layout.pages
        else { continue }
        if let failure = found.failure { throw .system(failure) }
        damage += found.pages(of: block.block).map { pages in
          .pages(
            idstr: block.idstr, pages,
            at: block.pageSize.bytes(of: pages, in: slots.lowerBound))
        }
      }
      if !damage.isEmpty { throw .contents(file.path, .damaged(damage)) }
    }
  }
}

extension ImageRestore {
  /// Compares all that is not pages with its sums, and pages of some blocks: those of the others can be compared as they are restored.
  ///
  /// - Parameter blocks: whose pages are read; those of none where it is `nil`.
  package func checkBesidesPages(
    of blocks: Set<String>?, _ progress: TransferProgress, _ cancellation: Cancellation
  ) throws(ImageError) -> ImageVerification.Outcome {
    var check = ImageVerification(file, streamOffset: streamOffset, options: options)
    check.readBlocks = blocks ?? []
    check.readsBuffers = false
    return try check.run(progress: progress, cancellation: cancellation)
  }

  /// The same restore, whose requests `observer` is told of.
  package func observed(by observer: any RequestObserver) -> ImageRestore {
    var restore = self
    restore.factory = TimedFactory(options.method, observer)
    return restore
  }
}
