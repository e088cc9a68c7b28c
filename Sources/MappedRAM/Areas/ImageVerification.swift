package import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Checks an image: its structures, and all that has a sum, at the speed of the disk.
public struct ImageVerification: Sendable {
  /// The image.
  package var file: File
  /// Where the stream begins; `nil` where the container says, or at 0.
  public var streamOffset: FileOffset?
  /// How the channels work.
  public var options: ChannelOptions
  /// The blocks whose pages are read; `nil` for all. Those of others are compared by somebody else.
  package var readBlocks: Set<String>?
  /// Whether buffers of devices' states are read. They have their sums compared when they are loaded, too.
  package var readsBuffers = true

  /// A check of the image in `file`.
  package init(_ file: File, streamOffset: FileOffset? = nil, options: ChannelOptions = .standard) {
    self.file = file
    self.streamOffset = streamOffset
    self.options = options
  }

  /// A check of the file or device at `path`.
  ///
  /// - Throws: `ImageError.system`.
  public init(
    at path: FilePath, streamOffset: FileOffset? = nil, options: ChannelOptions = .standard
  ) throws(ImageError) {
    let file = try ImageFile(opening: path, directIO: options.directIO).file
    self.init(file, streamOffset: streamOffset, options: options)
  }

  /// What was found.
  public struct Outcome: Sendable {
    /// The image's structures.
    public var image: Image
    /// Whether there are sums that can be read: otherwise contents cannot be checked.
    public var hasSums: Bool
    /// Chunks of RAM that were compared.
    public var chunkCount = 0
    /// Chunks of RAM whose contents are others than those that were saved.
    public var damagedChunkCount = 0
    /// What is damaged, in the order in which it was met; damaged chunks of a block beyond a limit are counted only.
    public var damage: [Damage] = []
    /// The sum of all contents; only where nothing is damaged.
    public var root: ContentSum?
    /// The sums, where they could be read.
    package var sums: SumsArea?
    /// What it took.
    public var report: TransferReport

    /// Nothing has been looked at but the structures.
    package init(image: Image, hasSums: Bool, report: TransferReport) {
      self.image = image
      self.hasSums = hasSums
      self.report = report
    }

    /// Whether all that the image needs is there, has sums, and is as it was saved.
    public var isWhole: Bool { hasSums && damage.isEmpty && image.isComplete }

    /// Makes sure that all that was compared is as it was saved. Damage behind the stream that a restore need not care about is none.
    ///
    /// - Throws: `ImageError.contents`.
    package func checkContents() throws(ImageError) {
      let damage = damage.filter { damage in
        image.harmlessDamage.map { damage != .structure($0) } ?? true
      }
      guard hasSums else {
        let all = self.damage
        throw .contents(image.path, all.isEmpty ? .noSums : .unreadableSums(all))
      }
      guard damage.isEmpty else {
        throw .contents(image.path, damage == [.foreignSums] ? .foreignSums : .damaged(damage))
      }
    }
  }

  /// Something that is not as it was saved.
  public enum Damage: Equatable, Sendable {
    /// The structure of the image cannot be read.
    case structure(FormatError)
    /// Pages of a block, chunk by chunk, and where their slots are.
    case pages(idstr: String, Range<Int>, at: Range<FileOffset>)
    /// The page bitmap of a block, whose pages cannot be checked without it.
    case bitmap(idstr: String, at: Range<FileOffset>)
    /// The sums of a block's chunks, which cannot be checked without them.
    case entries(idstr: String, at: Range<FileOffset>)
    /// Other bytes of the stream: the state of a device, if that is known.
    case span(device: String?, at: Range<FileOffset>)
    /// A buffer of a device's state.
    case buffer(DeviceIdentity, number: Int, at: Range<FileOffset>)
    /// The sums do not cover the image as it is read now: they are of another one.
    case foreignSums
  }

  /// Checks it all.
  ///
  /// - Throws: `ImageError.system`, `.cancelled`; `.format` never: what is wrong stands in the outcome.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> Outcome {
    let file = ImageFile(file, cancellation: cancellation)
    let image = try Image(file, streamOffset: streamOffset)
    return try check(file, image, progress: progress) { (run) throws(ImageError) in
      try run.readSums().map { Sums(area: $0, file: file) }
    }
  }

  /// The sums that an image is compared with: their table, and the file in which the entries are.
  struct Sums {
    var area: SumsArea
    var file: ImageFile
  }

  /// Checks `image` in `file` with `sums`, which may be another file's.
  func check(
    _ file: ImageFile, _ image: Image, with sums: Sums, progress: TransferProgress
  ) throws(ImageError) -> Outcome {
    try check(file, image, progress: progress) { (run) throws(ImageError) in
      run.outcome.hasSums = true
      return sums
    }
  }

  private func check(
    _ file: ImageFile, _ image: Image, progress: TransferProgress,
    _ sums: (inout Run) throws(ImageError) -> Sums?
  ) throws(ImageError) -> Outcome {
    let stopwatch = Stopwatch()
    var outcome = Outcome(
      image: image, hasSums: false, report: stopwatch.report(of: image, in: self.file))
    outcome.damage = image.problems.map { .structure($0) }
    var run = Run(file: file, outcome: outcome)
    var channels = ChannelReport.idle
    if let sums = try sums(&run) {
      try run.checkSpans(sums.area)
      channels = try run.checkBlocks(sums, self, progress)
      if readsBuffers { try run.checkBuffers() }
      try run.checkRoot(sums.area)
      run.outcome.sums = sums.area
    } else if readsBuffers {
      try run.checkBuffers()
    }
    outcome = run.outcome
    let blocks = image.blocks
    outcome.report = stopwatch.report(
      ramBytes: blocks.reduce(0) { $0 + $1.usedLength.rawValue },
      presentBytes: blocks.reduce(0) {
        $0 + UInt64($1.pagesPresent ?? 0) * UInt64($1.pageSize.byteCount)
      }, channels: channels, options: options, image: self.file, end: image.fileSize)
    return outcome
  }
}

extension ImageVerification {
  /// A check under way.
  private struct Run {
    let file: ImageFile
    var outcome: Outcome
    private var image: Image { outcome.image }
    private var root = ContentRoot()

    init(file: ImageFile, outcome: Outcome) {
      self.file = file
      self.outcome = outcome
    }

    /// The table of sums; `nil` where there is none that can be read.
    mutating func readSums() throws(ImageError) -> SumsArea? {
      guard let header = try SumsArea.header(of: image, in: file) else { return nil }
      // The header has been checked: the table lies in the file, and is no longer than the file.
      switch try SumsArea.read(header, of: file) {
      case .success(let sums):
        outcome.hasSums = true
        return sums
      case .failure(let error):
        outcome.damage.append(.structure(error))
        return nil
      }
    }

    mutating func checkSpans(_ sums: SumsArea) throws(ImageError) {
      for span in sums.spans {
        guard try file.sum(of: span.range) != span.sum else { continue }
        outcome.damage.append(.span(device: image.device(in: span.range), at: span.range))
      }
      guard image.problems.isEmpty else { return }
      let isCovered =
        sums.spans.map(\.range) == SumsWriter.ranges(of: image) && sums.hasBlocks(of: image)
      if !isCovered { outcome.damage.append(.foreignSums) }
    }

    mutating func checkBlocks(
      _ sums: Sums, _ how: ImageVerification, _ progress: TransferProgress
    ) throws(ImageError) -> ChannelReport {
      let all = sums.area.blocks
      let options = how.options
      guard !all.isEmpty else { return .idle }
      let extentBytes = ExtentPlan.extentBytes(
        for: all.lazy.map(\.block), requestBytes: options.requestBytes)
      var pool = try ChannelPool(
        options, extentBytes: extentBytes, progress: progress, cancellation: file.cancellation)
      for block in all where how.readBlocks?.contains(block.block.idstr) ?? true {
        progress.plan(block.block.usedLength.rawValue)
      }
      for (block, entries) in sums.area.blockEntries {
        let isRead = how.readBlocks?.contains(block.block.idstr) ?? true
        guard let bitmap = try checkBitmap(of: block, entries, in: sums.file) else {
          if isRead { progress.finish(block.block.usedLength.rawValue) }
          continue
        }
        guard isRead else {
          try root(of: block, bitmap, entries, in: sums.file)
          continue
        }
        let check = ChunkCheck(
          block, bitmap: bitmap, in: file.file, entriesAt: entries.lowerBound, of: sums.file.file,
          extentBytes: extentBytes)
        // One block at a time: memory holds one bitmap.
        pool.enqueue(check)
        try root(of: block, bitmap, entries, in: sums.file)
        try pool.sync()
        try take(check.outcome, of: block)
      }
      return try pool.finish()
    }

    /// The block's bitmap, if that and the block's entries are what they were.
    private mutating func checkBitmap(
      of block: SumsArea.Block, _ entries: Range<FileOffset>, in sums: ImageFile
    ) throws(ImageError) -> PageBitmap? {
      let idstr = block.block.idstr
      guard try file.sum(of: block.bitmap) == block.bitmapSum else {
        outcome.damage.append(.bitmap(idstr: idstr, at: block.bitmap))
        return nil
      }
      guard try sums.sum(of: entries) == block.entriesSum else {
        outcome.damage.append(.entries(idstr: idstr, at: entries))
        return nil
      }
      let bitmap = try file.bitmap(of: block.block, at: block.bitmap)
      let summer = ChunkSummer(block.block)
      let count = summer.entryCount(bitmap)
      outcome.chunkCount += count
      guard count == block.entryCount else {
        outcome.damage.append(.entries(idstr: idstr, at: entries))
        return nil
      }
      return bitmap
    }

    /// Adds the block to the sum of all contents.
    private mutating func root(
      of block: SumsArea.Block, _ bitmap: PageBitmap, _ entries: Range<FileOffset>,
      in sums: ImageFile
    ) throws(ImageError) {
      let summer = ChunkSummer(block.block)
      var contents = ContentRoot.BlockHasher(summer)
      let step = ImageFile.chunkBytes / ContentSum.byteCount
      var place = entries.lowerBound
      var waiting: [Int] = []
      for chunk in 0..<summer.chunkCount {
        if summer.hasEntry(chunk, bitmap) { waiting.append(chunk) }
        guard waiting.count == step || chunk == summer.chunkCount - 1 else { continue }
        let count = waiting.count * ContentSum.byteCount
        for (chunk, sum) in zip(waiting, ContentSum.list(try sums.read(count, at: place))) {
          contents.add(chunk, sum)
        }
        place = place + ByteCount(count)
        waiting.removeAll(keepingCapacity: true)
      }
      root.add(block.block, contents.sum)
    }

    /// Takes over what was found in the pages of a block: neighbouring chunks as one.
    private mutating func take(
      _ found: ChunkComparison.Found, of block: SumsArea.Block
    ) throws(ImageError) {
      if let failure = found.failure { throw .system(failure) }
      outcome.damagedChunkCount += found.damagedCount
      for pages in found.pages(of: block.block) {
        outcome.damage.append(
          .pages(
            idstr: block.block.idstr, pages,
            at: block.block.pageSize.bytes(of: pages, in: block.pages.lowerBound)))
      }
    }

    mutating func checkBuffers() throws(ImageError) {
      for device in image.deviceArea?.devices ?? [] {
        for (number, buffer) in device.buffers.enumerated() {
          let range = buffer.offset..<(buffer.offset + buffer.byteCount)
          guard try file.sum(of: range) != buffer.sum else { continue }
          outcome.damage.append(.buffer(device.identity, number: number, at: range))
        }
      }
    }

    /// Compares the sum of all contents, which the sums so far give, where nothing is damaged.
    mutating func checkRoot(_ sums: SumsArea) throws(ImageError) {
      guard outcome.isWhole else { return }
      guard try root.sum(of: image, in: file) == sums.root else {
        outcome.damage.append(.foreignSums)
        return
      }
      outcome.root = sums.root
    }
  }
}
