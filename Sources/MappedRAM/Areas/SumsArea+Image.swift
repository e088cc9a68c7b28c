import LinuxIO
import MappedRAMFormat

extension SumsArea {
  /// The header of the area of sums of `image`, in `file`: also where the chain that leads to it is damaged.
  static func header(of image: Image, in file: ImageFile) throws(ImageError) -> AreaHeader? {
    func isOurs(_ header: AreaHeader) -> Bool {
      header.kind == .sums && header.version == SumsArea.version
    }
    if let header = image.areas.headers.first(where: isOurs) { return header }
    guard !image.problems.isEmpty else { return nil }
    let start =
      image.areas.headers.last?.range.upperBound ?? image.blocks.last?.layout.end
      ?? image.streamOffset
    guard start < image.fileSize else { return nil }
    return try AreaScan.headers(in: start..<image.fileSize, of: file).first(where: isOurs)
  }

  /// The table that `header` leads to, or what is wrong with it.
  static func read(
    _ header: AreaHeader, of file: ImageFile
  ) throws(ImageError) -> Result<SumsArea, FormatError> {
    let count = min(header.table.byteCount, mostTableBytes)
    let bytes = try file.readUp(to: Int(count.rawValue), at: header.table.lowerBound)
    do throws(FormatError) {
      try check(header)
      var input = ByteInput(bytes.span, at: header.table.lowerBound)
      return .success(try SumsArea(header: header, parsing: &input))
    } catch {
      return .failure(error)
    }
  }

  /// Whether the blocks with pages that `image` has are those that this has sums of, at the same places.
  func hasBlocks(of image: Image) -> Bool {
    let blocks = image.blocks.filter { $0.layout.bitmap != nil }
    return self.blocks.elementsEqual(blocks) { $0.block.hasSamePages(as: $1.block) }
      && self.blocks.map(\.bitmap) == blocks.compactMap(\.layout.bitmap)
      && self.blocks.map(\.pages) == blocks.compactMap(\.layout.pages)
  }

  /// Each block, and where its entries are.
  var blockEntries: [(block: Block, entries: Range<FileOffset>)] {
    var place = entries.lowerBound
    return blocks.map { block in
      let start = place
      place = place + ByteCount(block.entryCount * ContentSum.byteCount)
      return (block, start..<place)
    }
  }

  /// The block that is `block` of an image, and where its entries are; `nil` where this is not of an image that has the block there.
  func entries(of block: ImageBlock) -> (block: Block, entries: Range<FileOffset>)? {
    blockEntries.first {
      $0.block.block.hasSamePages(as: block.block) && $0.block.pages == block.layout.pages
    }
  }
}
