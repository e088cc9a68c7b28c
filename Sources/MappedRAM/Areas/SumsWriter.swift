import LinuxIO
import MappedRAMFormat

/// The sum of an image's contents as a whole: machine type, blocks, pages, states of devices. The same for the same contents, wherever
/// they stand.
struct ContentRoot {
  private var blocks: [(block: RAMBlock, sum: ContentSum)] = []

  /// The sum of a block's chunks, each with its number, without those that are all zeros.
  struct BlockHasher: ~Copyable {
    private let summer: ChunkSummer
    private let zero: ContentSum
    private var hasher = ContentHasher()

    init(_ summer: ChunkSummer) {
      self.summer = summer
      zero = summer.zeroSum(of: 0)
    }

    mutating func add(_ chunk: Int, _ sum: ContentSum) {
      // The last chunk may be shorter than the others.
      let zero = chunk == summer.chunkCount - 1 ? summer.zeroSum(of: chunk) : zero
      guard sum != zero else { return }
      hasher.add { output in
        output.writeBigEndian(UInt64(chunk))
        sum.encode(into: &output)
      }
    }

    var sum: ContentSum { hasher.sum }
  }

  mutating func add(_ block: RAMBlock, _ sum: ContentSum) { blocks.append((block, sum)) }

  /// The root of `image`, in `file`, whose blocks have been added.
  func sum(of image: Image, in file: ImageFile) throws(ImageError) -> ContentSum {
    var hasher = ContentHasher()
    hasher.add(Array((image.prologue?.configuration.machineType ?? "").utf8))
    hasher.add([0])
    let ignored = image.blocks.filter(\.block.isIgnored).map {
      (block: $0.block, sum: ContentSum(high: 0, low: 0))
    }
    // By name: the order of the list says nothing about what is in memory.
    let all = (blocks + ignored).sorted { $0.block.idstr < $1.block.idstr }
    hasher.add { $0.writeBigEndian(UInt32(all.count)) }
    for (block, sum) in all {
      hasher.add { output in
        output.writeCountedName(block.idstr)
        output.writeBigEndian(block.usedLength.rawValue)
        output.writeBigEndian(UInt32(block.pageSize.byteCount))
        output.writeBigEndian(UInt8(block.isIgnored ? 1 : 0))
        sum.encode(into: &output)
      }
    }
    // Section ids are the writer's own numbers.
    let sections = image.sections.filter { $0.type == .full }
    hasher.add { $0.writeBigEndian(UInt32(sections.count)) }
    for section in sections {
      guard let identity = section.identity else { continue }
      let sum = try file.sum(of: section.body)
      hasher.add { output in
        output.writeCountedName(identity.idstr)
        output.writeBigEndian(identity.instanceID)
        output.writeBigEndian(identity.version)
        output.writeBigEndian(section.body.byteCount.rawValue)
        sum.encode(into: &output)
      }
    }
    let devices = image.deviceArea?.devices ?? []
    hasher.add { $0.writeBigEndian(UInt32(devices.count)) }
    for device in devices {
      hasher.add { output in
        output.writeCountedName(device.identity.idstr)
        output.writeBigEndian(device.identity.instanceID)
        output.writeBigEndian(UInt32(device.buffers.count))
        for buffer in device.buffers {
          output.writeBigEndian(buffer.byteCount.rawValue)
          output.writeBigEndian(UInt8(buffer.isConfiguration ? 1 : 0))
          buffer.sum.encode(into: &output)
        }
      }
    }
    return hasher.sum
  }
}

/// Writes the entries and the table of the area of sums of an image whose stream is there.
struct SumsWriter {
  let file: ImageFile
  /// What is read of the stream.
  let image: Image
  /// The stream's first bytes, where they are not in the file yet.
  let overlay: ByteOutput?

  /// Bytes of the entries of all blocks, whose pages are `bitmaps`.
  func entryBytes(_ bitmaps: [PageBitmap?]) -> ByteCount {
    zip(image.blocks, bitmaps).reduce(.zero) { sum, block in
      guard let bitmap = block.1 else { return sum }
      return sum
        + ByteCount(ChunkSummer(block.0.block).entryCount(bitmap) * ContentSum.byteCount)
    }
  }

  /// Writes the area at `start`, but for its header: the sums of the blocks' chunks as `sums` has them.
  ///
  /// - Parameters:
  ///   - bitmaps: the bitmaps of the blocks; `nil` for one without pages in the image.
  ///   - sums: what is known of each block's chunks.
  /// - Returns: its header.
  func write(
    at start: FileOffset, bitmaps: [PageBitmap?], sums: [BlockSums?]
  ) throws(ImageError) -> AreaHeader {
    let first = start + ByteCount(AreaHeader.byteCount)
    var position = first
    var root = ContentRoot()
    var blocks: [SumsArea.Block] = []
    for (index, block) in image.blocks.enumerated() {
      guard let place = block.layout.bitmap, let pages = block.layout.pages else { continue }
      let begin = position
      let bitmap = bitmaps[index] ?? PageBitmap(pageCount: block.pageCount)
      let found = try writeEntries(of: block.block, bitmap, sums[index], at: &position)
      root.add(block.block, found.contents)
      blocks.append(
        SumsArea.Block(
          block.block, bitmap: place, pages: pages, bitmapSum: try file.sum(of: place),
          entryCount: Int((position - begin).rawValue) / ContentSum.byteCount,
          entriesSum: found.entries))
    }
    let area = SumsArea(
      entries: first..<position, root: try root.sum(of: image, in: file), blocks: blocks,
      spans: try spans())
    let table = area.encoded(at: position)
    try file.write(table)
    return AreaHeader(
      .sums, version: SumsArea.version, isNeeded: false, range: start..<table.offset, table: table)
  }

  /// Writes an entry for each chunk with a present page.
  private func writeEntries(
    of block: RAMBlock, _ bitmap: PageBitmap, _ sums: BlockSums?, at position: inout FileOffset
  ) throws(ImageError) -> (entries: ContentSum, contents: ContentSum) {
    let summer = ChunkSummer(block)
    var entries = ContentHasher()
    var contents = ContentRoot.BlockHasher(summer)
    let step = ImageFile.chunkBytes / ContentSum.byteCount
    for begin in stride(from: 0, to: summer.chunkCount, by: step) {
      try file.cancellation.check()
      let chunks = begin..<min(begin + step, summer.chunkCount)
      let pages = summer.pages(of: chunks.lowerBound).lowerBound
      let end = summer.pages(of: chunks.upperBound - 1).upperBound
      guard bitmap.population(in: pages..<end) > 0, let sums else { continue }
      let found = try sums.sums(of: chunks, summer, bitmap)
      var output = ByteOutput(at: position)
      for (chunk, sum) in zip(chunks, found)
      where summer.hasEntry(chunk, bitmap) {
        sum.encode(into: &output)
        contents.add(chunk, sum)
      }
      try file.write(output)
      entries.add(output.bytes)
      position = output.offset
    }
    return (entries.sum, contents.sum)
  }

  /// The sums of all that is neither a bitmap nor pages nor a gap: what is before each bitmap, and each section behind RAM.
  private func spans() throws(ImageError) -> [SumsArea.Span] {
    var spans: [SumsArea.Span] = []
    for range in Self.ranges(of: image) {
      spans.append(SumsArea.Span(range, sum: try file.sum(of: range, overlay: overlay)))
    }
    return spans
  }

  /// The parts of the stream that have a sum of their own.
  static func ranges(of image: Image) -> [Range<FileOffset>] {
    var ranges: [Range<FileOffset>] = []
    var start = image.streamOffset
    for block in image.blocks {
      guard let bitmap = block.layout.bitmap, let pages = block.layout.pages else { continue }
      ranges.append(start..<bitmap.lowerBound)
      start = pages.upperBound
    }
    guard let end = image.tail?.upperBound else { return ranges }
    for section in image.sections
    where section.type == .full && section.offset >= start && section.byteCount > .zero {
      if start < section.offset { ranges.append(start..<section.offset) }
      start = section.offset + section.byteCount
      ranges.append(section.offset..<start)
    }
    if start < end { ranges.append(start..<end) }
    return ranges
  }
}
