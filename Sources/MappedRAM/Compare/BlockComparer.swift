import LinuxIO
import MappedRAMFormat

/// Compares the blocks of two images, one block at a time: memory holds the bitmaps of one.
struct BlockComparer: ~Copyable {
  private let first: ComparedContents
  private let second: ComparedContents
  private let comparison: ImageComparison
  private let progress: TransferProgress
  private let cancellation: Cancellation
  /// Serves all blocks.
  private let extentBytes: Int
  /// There are none until pages are to be read.
  private var pool: ChannelPool?
  private(set) var remarks: [ComparisonRemark] = []

  init(
    _ first: ComparedContents, _ second: ComparedContents, _ comparison: ImageComparison,
    _ progress: TransferProgress, _ cancellation: Cancellation
  ) {
    self.first = first
    self.second = second
    self.comparison = comparison
    self.progress = progress
    self.cancellation = cancellation
    extentBytes = ExtentPlan.extentBytes(
      for: (first.blocks + second.blocks).lazy.map(\.block),
      requestBytes: comparison.options.requestBytes)
  }

  mutating func compareAll() throws(ImageError) -> [BlockComparison] {
    var found: [BlockComparison] = []
    let others = second.blocks
    for one in first.blocks {
      let idstr = one.block.idstr
      let outcome: BlockComparison.Outcome
      if let other = others.first(where: { $0.block.idstr == idstr }) {
        outcome = try compare(one, other)
      } else {
        outcome = .onlyInFirst
      }
      found.append(BlockComparison(idstr: idstr, outcome: outcome))
    }
    for other in others
    where !first.blocks.contains(where: { $0.block.idstr == other.block.idstr }) {
      found.append(BlockComparison(idstr: other.block.idstr, outcome: .onlyInSecond))
    }
    return found
  }

  /// Ends the channels.
  mutating func finish() throws(ImageError) -> ChannelReport {
    try pool?.finish() ?? .idle
  }

  private mutating func compare(
    _ one: ComparedContents.Block, _ other: ComparedContents.Block
  ) throws(ImageError) -> BlockComparison.Outcome {
    let block = one.block
    guard block.usedLength == other.block.usedLength, block.pageSize == other.block.pageSize else {
      return .shape(first: block, second: other.block)
    }
    switch (one.pages, other.pages) {
    case (.none, .none): return .notThere
    case (.none, _): return .ignored(inFirst: true)
    case (_, .none): return .ignored(inFirst: false)
    default: break
    }
    guard let ours = try side(of: one, in: first), let theirs = try side(of: other, in: second)
    else { return .notThere }
    let isByChunks = ours.isStored && theirs.isStored
    if !isByChunks { try pool?.sync() }
    let chunks = try Self.differingChunks(ours, theirs, ChunkSummer(block), cancellation)
    let pages = isByChunks ? chunks : try differingPages(of: block, ours, theirs, in: chunks)
    return .compared(
      PageDifferences(pages, pageSize: block.pageSize, isByChunks: isByChunks))
  }

  /// The pages of a block, and the sums of its chunks: those that are stored, or those that are being taken.
  private mutating func side(
    of block: ComparedContents.Block, in contents: ComparedContents
  ) throws(ImageError) -> ComparedSide? {
    let summer = ChunkSummer(block.block)
    let pages: SidePages
    switch block.pages {
    case .none: return nil
    case .memory(let memory): pages = try SidePages(memory, of: block.block)
    case .slots(let slots, let inImage):
      let file = contents.stateFile
      let present = try file.bitmap(of: inImage) ?? PageBitmap(pageCount: block.block.pageCount)
      pages = SidePages(present, in: file.file, at: slots)
      if let entries = try stored(inImage, present, summer, in: contents) {
        return ComparedSide(pages, .stored(entries, file))
      }
    }
    let scratch = try ImageFile(inMemory: "sums", byteCount: .zero)
    guard let sums = try ChunkSums.all(of: [block.block], in: scratch)[0] else { return nil }
    try start(
      SlotSums(
        block.block, pages.present, in: pages.source, at: pages.start, to: sums,
        extentBytes: extentBytes), of: block.block)
    return ComparedSide(pages, .taken(sums))
  }

  /// The sums of a block that its image has; `nil` where there are none that can be relied on.
  private mutating func stored(
    _ block: ImageBlock, _ present: PageBitmap, _ summer: ChunkSummer,
    in contents: ComparedContents
  ) throws(ImageError) -> Range<FileOffset>? {
    guard !comparison.readsContents else { return nil }
    let (file, path) = (contents.stateFile, contents.path)
    switch contents.sums {
    case .none: return nil
    case .unusable:
      let remark = ComparisonRemark.unusableSums(path)
      if !remarks.contains(remark) { remarks.append(remark) }
      return nil
    case .usable(let sums):
      if let entries = try sums.entries(of: block, present, summer, in: file) { return entries }
      remarks.append(.unusableBlockSums(path, idstr: block.idstr))
      return nil
    }
  }

  /// Queues a transfer over all of `block`.
  private mutating func start(
    _ transfer: some Transfer, of block: RAMBlock
  ) throws(ImageError) {
    if pool == nil {
      pool = try ChannelPool(
        comparison.options, extentBytes: extentBytes, progress: progress,
        cancellation: cancellation)
    }
    progress.plan(block.usedLength.rawValue)
    pool?.enqueue(transfer)
  }

  /// The pages of the chunks whose sums differ.
  private static func differingChunks(
    _ one: ComparedSide, _ other: ComparedSide, _ summer: ChunkSummer, _ cancellation: Cancellation
  ) throws(ImageError) -> PageBitmap {
    var (one, other) = (ChunkSumReader(one, summer), ChunkSumReader(other, summer))
    var pages = PageBitmap(pageCount: summer.pageCount)
    let step = ImageFile.chunkBytes / ContentSum.byteCount
    for begin in stride(from: 0, to: summer.chunkCount, by: step) {
      try cancellation.check()
      let chunks = begin..<min(begin + step, summer.chunkCount)
      let (sums, others) = (try one.next(chunks), try other.next(chunks))
      for (index, chunk) in chunks.enumerated() where sums[index] != others[index] {
        pages.insert(summer.pages(of: chunk))
      }
    }
    return pages
  }

  /// Those of `chunks`, pages in chunks that differ, that differ themselves.
  private mutating func differingPages(
    of block: RAMBlock, _ one: ComparedSide, _ other: ComparedSide, in chunks: PageBitmap
  ) throws(ImageError) -> PageBitmap {
    guard chunks.population > 0 else { return chunks }
    let search = PageSearch(
      one, other, in: chunks, pageSize: block.pageSize,
      byteCount: block.usedLength.rawValue,
      extentBytes: extentBytes)
    try start(search, of: block)
    try pool?.sync()
    let pages = try search.differing()
    let summer = ChunkSummer(block)
    let isUnfounded = (0..<summer.chunkCount).contains { chunk in
      let range = summer.pages(of: chunk)
      return chunks.population(in: range) > 0 && pages.population(in: range) == 0
    }
    if isUnfounded { remarks.append(.sumsDoNotFit(idstr: block.idstr)) }
    return pages
  }
}

/// Reads the sums of a block's chunks, from the first chunk on: also of those that no page is present of.
private struct ChunkSumReader {
  private let side: ComparedSide
  private let summer: ChunkSummer
  private let zero: ContentSum
  /// Where the next stored sum is.
  private var place: FileOffset

  init(_ side: ComparedSide, _ summer: ChunkSummer) {
    self.side = side
    self.summer = summer
    zero = summer.chunkCount > 0 ? summer.zeroSum(of: 0) : ContentSum(high: 0, low: 0)
    place = .zero
    if case .stored(let entries, _) = side.sums { place = entries.lowerBound }
  }

  /// The sums of `chunks`, which follow those that were read before.
  mutating func next(_ chunks: Range<Int>) throws(ImageError) -> [ContentSum] {
    let entries = chunks.filter { summer.hasEntry($0, side.present) }
    var sums: [ContentSum]
    switch side.sums {
    case .stored(_, let file):
      let count = entries.count * ContentSum.byteCount
      sums = ContentSum.list(try file.read(count, at: place))
      place = place + ByteCount(count)
    case .taken(let taken):
      let all = entries.isEmpty ? [] : try taken.sums(of: chunks)
      sums = entries.map { all[$0 - chunks.lowerBound] }
    }
    var next = 0
    return chunks.map { chunk in
      guard next < entries.count, entries[next] == chunk else {
        // The last chunk may be shorter than the others.
        return chunk == summer.chunkCount - 1 ? summer.zeroSum(of: chunk) : zero
      }
      next += 1
      return sums[next - 1]
    }
  }
}
