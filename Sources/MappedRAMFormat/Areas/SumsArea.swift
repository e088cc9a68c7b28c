/// The sums of an image's contents: what the table of an area of the kind `SUMS` says.
///
/// | part | bytes |
/// | --- | --- |
/// | header | 64: an `AreaHeader` |
/// | entries | a sum for each chunk with a present page, block after block |
/// | table | this |
///
/// A leaf is the sum of a page; the sum of a chunk is that of the leaves of its pages, each in its form in a file, one behind the other. The
/// leaf of an absent page is that of a page of zeros. A form of our own; FORMAT.md describes it.
public struct SumsArea: Equatable, Sendable {
  /// Where the entries are.
  public var entries: Range<FileOffset>
  /// The sum of all contents: the same for the same contents in any layout.
  public var root: ContentSum
  /// The blocks that have pages in the image, in the order of its list.
  public var blocks: [Block]
  /// What else is covered, in file order.
  public var spans: [Span]

  /// The only version.
  package static let version: UInt32 = 1
  /// The only algorithm: XXH3 of 128 bits.
  package static let algorithm: UInt32 = 1
  /// The name of the algorithm, in front of a root.
  public static let algorithmName = "xxh3-128"
  /// Bytes of a block in a chunk.
  public static let chunkBytes = 64 << 10

  /// The sums of its parts.
  package init(entries: Range<FileOffset>, root: ContentSum, blocks: [Block], spans: [Span]) {
    self.entries = entries
    self.root = root
    self.blocks = blocks
    self.spans = spans
  }

  /// A block: where it is, and the sums of its bitmap and of its entries.
  public struct Block: Equatable, Sendable {
    /// Its name, used length and page size.
    public var block: RAMBlock
    /// Its page bitmap.
    public var bitmap: Range<FileOffset>
    /// Its page slots.
    public var pages: Range<FileOffset>
    /// The sum of the bitmap's bytes in the file.
    public var bitmapSum: ContentSum
    /// How many entries it has.
    public var entryCount: Int
    /// The sum of its entries' bytes.
    public var entriesSum: ContentSum

    /// A block of its parts.
    package init(
      _ block: RAMBlock, bitmap: Range<FileOffset>, pages: Range<FileOffset>,
      bitmapSum: ContentSum, entryCount: Int, entriesSum: ContentSum
    ) {
      self.block = block
      self.bitmap = bitmap
      self.pages = pages
      self.bitmapSum = bitmapSum
      self.entryCount = entryCount
      self.entriesSum = entriesSum
    }
  }

  /// Bytes of the file that have a sum of their own.
  public struct Span: Equatable, Sendable {
    /// Where they are.
    public var range: Range<FileOffset>
    /// Their sum.
    public var sum: ContentSum

    /// A span of its parts.
    package init(_ range: Range<FileOffset>, sum: ContentSum) {
      self.range = range
      self.sum = sum
    }

    static let byteCount = 8 + 8 + ContentSum.byteCount
  }

  /// Pages in a chunk.
  package static func chunkPages(_ pageSize: PageSize) -> Int { chunkBytes / pageSize.byteCount }

  /// How many chunks a block has.
  package static func chunkCount(of block: RAMBlock) -> Int {
    (block.pageCount + chunkPages(block.pageSize) - 1) / chunkPages(block.pageSize)
  }

  /// The most bytes that a table may have.
  package static let mostTableBytes = ByteCount(
    64 + ImageLimits.blocks * (1 + ImageLimits.nameBytes + 68) + ImageLimits.spans * Span.byteCount)
}

/// What is wrong with an area of sums.
public enum SumsProblem: Equatable, Sendable {
  case algorithm(found: UInt32)
  case chunkBytes(found: UInt32)
  case entriesPlace(FileOffset, ByteCount, area: Range<FileOffset>)
  case blockPlace(FileOffset)
  case entryCount(found: UInt64, most: Int)
  case entryTotal(found: UInt64, expected: UInt64)
  case spanPlace(FileOffset, ByteCount)
  case tableEnd(found: FileOffset, expected: FileOffset)
  case entriesDamaged(idstr: String)
}

extension SumsProblem: CustomStringConvertible {
  /// What was found and what was expected.
  public var description: String {
    switch self {
    case .algorithm(let found): "algorithm \(found) is unknown; expected 1."
    case .chunkBytes(let found): "chunks of \(found) bytes; expected \(SumsArea.chunkBytes)."
    case .entriesPlace(let offset, let count, let area):
      "\(count) bytes of entries are said to be at \(offset); expected a place between the header and the table, which begins at \(area.upperBound)."
    case .blockPlace(let offset):
      "the block's bitmap or pages are said to be at \(offset), which cannot be."
    case .entryCount(let found, let most):
      "the block is said to have \(found) entries; it has \(most) chunks."
    case .entryTotal(let found, let expected):
      "there are \(found) bytes of entries; the blocks have \(expected)."
    case .spanPlace(let offset, let count):
      "a span of \(count) bytes is said to be at \(offset); expected one behind the last and before the areas."
    case .tableEnd(let found, let expected): "the table ends at \(found); expected \(expected)."
    case .entriesDamaged(let idstr):
      "the sums of the chunks of RAMBlock \(quoted(idstr)) are damaged themselves."
    }
  }
}

extension SumsArea {
  /// The table's bytes, to stand at `offset`.
  package func encoded(at offset: FileOffset) -> ByteOutput {
    var output = ByteOutput(at: offset)
    output.writeBigEndian(Self.algorithm)
    output.writeBigEndian(UInt32(Self.chunkBytes))
    output.writeBigEndian(entries.lowerBound.rawValue)
    output.writeBigEndian(entries.byteCount.rawValue)
    root.encode(into: &output)
    output.writeBigEndian(UInt32(blocks.count))
    output.writeBigEndian(UInt32(spans.count))
    for block in blocks {
      output.writeCountedName(block.block.idstr)
      output.writeBigEndian(block.block.usedLength.rawValue)
      output.writeBigEndian(UInt32(block.block.pageSize.byteCount))
      output.writeBigEndian(block.bitmap.lowerBound.rawValue)
      output.writeBigEndian(block.pages.lowerBound.rawValue)
      output.writeBigEndian(UInt64(block.entryCount))
      block.bitmapSum.encode(into: &output)
      block.entriesSum.encode(into: &output)
    }
    for span in spans {
      output.writeBigEndian(span.range.lowerBound.rawValue)
      output.writeBigEndian(span.range.byteCount.rawValue)
      span.sum.encode(into: &output)
    }
    return output
  }

  /// Makes sure that a table is no longer than one can be, before it is read.
  package static func check(_ header: AreaHeader) throws(FormatError) {
    guard header.table.byteCount <= mostTableBytes else {
      throw FormatError(
        .overLimit(
          .areaTableBytes, found: header.table.byteCount.rawValue, limit: mostTableBytes.rawValue),
        at: header.range.lowerBound, in: .area(header.kind))
    }
  }

  /// Reads the table that `header` tells of; `input` has just its bytes.
  ///
  /// All places that it gives lie in the file, before the area or in it.
  ///
  /// - Throws: `area`, `sums`, `truncated`, the errors of names and of blocks, `overLimit`.
  package init(header: AreaHeader, parsing input: inout ByteInput) throws(FormatError) {
    try Self.check(header)
    let context = FormatError.Context.area(header.kind)
    func fail(_ problem: SumsProblem, _ offset: FileOffset) -> FormatError {
      FormatError(.sums(problem), at: offset, in: context)
    }
    var copy = input
    try header.check(
      table: copy.readBytes(Int(header.table.byteCount.rawValue), in: context))
    let start = input.offset
    let algorithm = try input.readBigEndian(UInt32.self, in: context)
    guard algorithm == Self.algorithm else { throw fail(.algorithm(found: algorithm), start) }
    let chunkBytes = try input.readBigEndian(UInt32.self, in: context)
    guard chunkBytes == Self.chunkBytes else {
      throw fail(.chunkBytes(found: chunkBytes), start + 4)
    }
    let first = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    let count = ByteCount(try input.readBigEndian(UInt64.self, in: context))
    guard first >= header.end, let end = first.adding(count), end <= header.table.lowerBound else {
      throw fail(
        .entriesPlace(first, count, area: header.end..<header.table.lowerBound), start + 8)
    }
    entries = first..<end
    root = try ContentSum(parsing: &input, in: context)
    let blockCount = try Self.count(parsing: &input, .blocks, ImageLimits.blocks, in: context)
    let spanCount = try Self.count(parsing: &input, .spans, ImageLimits.spans, in: context)
    blocks = []
    spans = []
    var total: UInt64 = 0
    for _ in 0..<blockCount {
      let block = try Block(parsing: &input, before: header.range.lowerBound, in: context)
      // No overflow: a block of at most 2^46 bytes has at most 2^30 chunks, and there are at most 4096 blocks.
      total += UInt64(block.entryCount * ContentSum.byteCount)
      blocks.append(block)
    }
    guard total == count.rawValue else {
      throw fail(.entryTotal(found: count.rawValue, expected: total), start + 16)
    }
    try input.require(spanCount * Span.byteCount, in: context)
    spans.reserveCapacity(spanCount)
    var last = FileOffset.zero
    for _ in 0..<spanCount {
      let place = input.offset
      let first = FileOffset(try input.readBigEndian(UInt64.self, in: context))
      let count = ByteCount(try input.readBigEndian(UInt64.self, in: context))
      guard first >= last, count > .zero, let end = first.adding(count),
        end <= header.range.lowerBound
      else { throw fail(.spanPlace(first, count), place) }
      last = end
      spans.append(Span(first..<end, sum: try ContentSum(parsing: &input, in: context)))
    }
    guard input.offset == header.table.upperBound else {
      throw fail(
        .tableEnd(found: input.offset, expected: header.table.upperBound), input.offset)
    }
  }

  private static func count(
    parsing input: inout ByteInput, _ limit: FormatError.Limit, _ most: Int,
    in context: FormatError.Context
  ) throws(FormatError) -> Int {
    let place = input.offset
    let count = try input.readBigEndian(UInt32.self, in: context)
    guard count <= most else {
      throw FormatError(
        .overLimit(limit, found: UInt64(count), limit: UInt64(most)), at: place, in: context)
    }
    return Int(count)
  }
}

extension SumsArea.Block {
  fileprivate init(
    parsing input: inout ByteInput, before end: FileOffset, in context: FormatError.Context
  ) throws(FormatError) {
    let start = input.offset
    let idstr = try input.readCountedName(in: context)
    let usedLength = ByteCount(try input.readBigEndian(UInt64.self, in: context))
    let sizePlace = input.offset
    let size = try input.readBigEndian(UInt32.self, in: context)
    guard let pageSize = PageSize(byteCount: UInt64(size)) else {
      throw FormatError(.pageSize(found: UInt64(size)), at: sizePlace, in: context)
    }
    guard usedLength <= ImageLimits.ramBytes else {
      throw FormatError(
        .overLimit(
          .ramBytes, found: usedLength.rawValue, limit: ImageLimits.ramBytes.rawValue),
        at: start, in: context)
    }
    block = try RAMBlock(idstr: idstr, usedLength: usedLength, pageSize: pageSize)
    let bitmapStart = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    let pagesStart = FileOffset(try input.readBigEndian(UInt64.self, in: context))
    let countPlace = input.offset
    let count = try input.readBigEndian(UInt64.self, in: context)
    guard let bitmapEnd = bitmapStart.adding(block.bitmapBytes), bitmapEnd <= end else {
      throw FormatError(.sums(.blockPlace(bitmapStart)), at: start, in: context)
    }
    guard let pagesEnd = pagesStart.adding(usedLength), pagesEnd <= end,
      pagesStart.isAligned(to: UInt64(pageSize.byteCount))
    else { throw FormatError(.sums(.blockPlace(pagesStart)), at: start, in: context) }
    let most = SumsArea.chunkCount(of: block)
    guard count <= most else {
      throw FormatError(
        .sums(.entryCount(found: count, most: most)), at: countPlace, in: context)
    }
    bitmap = bitmapStart..<bitmapEnd
    pages = pagesStart..<pagesEnd
    entryCount = Int(count)
    bitmapSum = try ContentSum(parsing: &input, in: context)
    entriesSum = try ContentSum(parsing: &input, in: context)
  }
}
