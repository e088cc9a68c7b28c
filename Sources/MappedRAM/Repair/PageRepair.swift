import LinuxIO
import MappedRAMFormat

/// The chunks of a block that have entries, in order, and their contents.
struct ChunkPlaces: Sequence {
  let block: SumsArea.Block
  let bitmap: PageBitmap
  let summer: ChunkSummer

  init(_ block: SumsArea.Block, in file: ImageFile) throws(ImageError) {
    self.block = block
    bitmap = try file.bitmap(of: block.block, at: block.bitmap)
    summer = ChunkSummer(block.block)
  }

  var count: Int { summer.entryCount(bitmap) }

  func makeIterator() -> some IteratorProtocol<Int> {
    (0..<summer.chunkCount).lazy.filter { [summer, bitmap] in summer.hasEntry($0, bitmap) }
      .makeIterator()
  }

  /// The contents of `chunk` in the image: zeros for pages that are absent, or that the file does not have.
  func contents(of chunk: Int, in file: ImageFile) throws(ImageError) -> [UInt8] {
    try file.cancellation.check()
    let pages = summer.pages(of: chunk)
    let place = block.block.pageSize.bytes(of: pages, in: block.pages.lowerBound)
    var bytes = try file.readUp(to: Int(place.byteCount.rawValue), at: place.lowerBound)
    bytes += Array(repeating: 0, count: Int(place.byteCount.rawValue) - bytes.count)
    for page in pages where !bitmap[page] {
      for index in summer.bytes(of: page, in: pages) { bytes[index] = 0 }
    }
    return bytes
  }
}

extension ChunkSummer {
  /// Where `page` is among the bytes of `pages`.
  func bytes(of page: Int, in pages: Range<Int>) -> Range<Int> {
    let start = (page - pages.lowerBound) * pageSize.byteCount
    return start..<(start + pageSize.byteCount)
  }

  /// The sums of the pages that `contents` are.
  func leaves(of contents: [UInt8]) -> [ContentSum] {
    stride(from: 0, to: contents.count, by: pageSize.byteCount).map { start in
      ContentSum(of: Array(contents[start..<(start + pageSize.byteCount)]))
    }
  }

  /// The sum of a chunk with these contents.
  func sum(of contents: [UInt8]) -> ContentSum { Self.sum(ofLeaves: leaves(of: contents)) }

  /// The sum of a chunk whose pages have the sums `leaves`.
  static func sum(ofLeaves leaves: [ContentSum]) -> ContentSum {
    var output = ByteOutput()
    for leaf in leaves { leaf.encode(into: &output) }
    return ContentSum(of: output.bytes)
  }
}

extension RepairRun {
  /// The most pages of one chunk that are tried to be taken or left one by one.
  ///
  /// 4096 sums of a chunk, which take a millisecond; that one of them has the wanted sum by chance is as good as impossible.
  private static let mostDifferences = 12

  /// Puts back the pages of the chunks of `block` that are named in `damage`.
  mutating func mendPages(
    of block: SumsArea.Block, _ entries: Range<FileOffset>,
    _ damage: [ImageVerification.Damage]
  ) throws(ImageError) {
    let idstr = block.block.idstr
    var wanted: [Range<Int>] = []
    for case .pages(idstr, let pages, _) in damage { wanted.append(pages) }
    guard !wanted.isEmpty else { return }
    let chunks = try ChunkPlaces(block, in: file)
    var entry = entries.lowerBound
    var next = 0
    for chunk in chunks {
      let pages = chunks.summer.pages(of: chunk)
      while next < wanted.count, wanted[next].upperBound <= pages.lowerBound { next += 1 }
      guard next < wanted.count else { return }
      if wanted[next].overlaps(pages) {
        let sum = ContentSum.list(try file.read(ContentSum.byteCount, at: entry))[0]
        try mend(chunk, sum, of: chunks)
      }
      entry = entry + ByteCount(ContentSum.byteCount)
    }
  }

  /// Puts back the pages of one chunk, if a source has those that are missing.
  private mutating func mend(
    _ chunk: Int, _ wanted: ContentSum, of chunks: ChunkPlaces
  ) throws(ImageError) {
    let summer = chunks.summer
    let pages = summer.pages(of: chunk)
    let own = summer.leaves(of: try chunks.contents(of: chunk, in: file))
    for source in sources {
      guard
        let theirs = try source.contents(
          of: chunks.block.block.idstr, pages, summer.pageSize)
      else { continue }
      let leaves = summer.leaves(of: theirs)
      let differing = own.indices.filter {
        own[$0] != leaves[$0] && chunks.bitmap[pages.lowerBound + $0]
      }
      guard let taken = Self.choice(of: differing, own, leaves, wanted) else { continue }
      for index in taken {
        let page = pages.lowerBound + index
        try put(
          Array(theirs[summer.bytes(of: page, in: pages)]),
          at: summer.pageSize.bytes(of: page..<(page + 1), in: chunks.block.pages.lowerBound)
            .lowerBound, .pages(idstr: chunks.block.block.idstr, page..<(page + 1)), from: source)
      }
      return
    }
  }

  /// Which of the pages that differ must be taken for the chunk to have the sum that is wanted; `nil` where none will do.
  ///
  /// A source that is older may lack what was written since to other pages of the chunk, which are whole.
  private static func choice(
    of differing: [Int], _ own: [ContentSum], _ theirs: [ContentSum], _ wanted: ContentSum
  ) -> [Int]? {
    var leaves = own
    for index in differing { leaves[index] = theirs[index] }
    if ChunkSummer.sum(ofLeaves: leaves) == wanted { return differing }
    guard differing.count > 1, differing.count <= mostDifferences else { return nil }
    for choice in 1..<((1 << differing.count) - 1) {
      leaves = own
      let taken = differing.indices.filter { choice >> $0 & 1 == 1 }.map { differing[$0] }
      for index in taken { leaves[index] = theirs[index] }
      if ChunkSummer.sum(ofLeaves: leaves) == wanted { return taken }
    }
    return nil
  }
}
