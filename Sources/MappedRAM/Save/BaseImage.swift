import LinuxIO
import MappedRAMFormat
public import SystemPackage

/// An earlier image whose blocks on the disk a new one shares where the contents are the same. The new one is whole by itself: it loads
/// when this is gone.
///
/// What is the same is known by the sums of chunks: 64 KiB of a RAMBlock, of contents that are in memory. Nothing of this image is read but
/// its structures and sums.
public struct BaseImage: Sendable {
  let file: ImageFile
  let image: Image
  let sums: SumsArea?
  /// The bitmaps of the blocks, in the order of the sums.
  let bitmaps: [PageBitmap]

  /// The image at `path`, which nobody may write meanwhile.
  ///
  /// - Throws: `format`, where it is damaged or incomplete, or its sums are; `system`.
  /// - Complexity: reads bitmaps and sums: 16 bytes for each 64 KiB of RAM.
  public init(
    at path: FilePath, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    let file = try ImageFile(opening: path, cancellation: cancellation)
    try file.lock(.shared)
    let image = try Image(file, streamOffset: nil)
    if let problem = image.problems.first { throw .format(problem, in: path) }
    self.file = file
    self.image = image
    guard let header = try SumsArea.header(of: image, in: file) else {
      sums = nil
      bitmaps = []
      return
    }
    var bitmaps: [PageBitmap] = []
    switch try SumsArea.read(header, of: file) {
    case .success(let found): sums = found
    case .failure(let error): throw .format(error, in: path)
    }
    for (block, entries) in sums?.blockEntries ?? [] {
      let (bitmap, list) = (try file.sum(of: block.bitmap), try file.sum(of: entries))
      guard bitmap == block.bitmapSum, list == block.entriesSum else {
        throw .format(
          FormatError(
            .sums(.entriesDamaged(idstr: block.block.idstr)), at: entries.lowerBound,
            in: .area(.sums)), in: path)
      }
      bitmaps.append(try file.bitmap(of: block.block, at: block.bitmap))
    }
    self.bitmaps = bitmaps
  }

  /// Why an image of `plan` cannot share blocks with this one, whatever the file system; `nil` where it may.
  func obstacle(for plan: SavePlan) -> BaseObstacle? {
    guard let sums else { return .noChecksums }
    let places = image.blocks.map { $0.layout.pages }
    guard plan.layout.blocks.map(\.pages) == places,
      zip(image.blocks, plan.blocks).allSatisfy({ $0.block.hasSamePages(as: $1.block) })
    else { return .otherPlaces }
    guard sums.blocks.map(\.pages) == places.compactMap(\.self) else { return .otherPlaces }
    return nil
  }

  /// What is known of the chunks of the plan's block number `index`; `nil` where it has no pages here.
  func entries(ofBlock index: Int, _ extents: ExtentPlan) -> ChunkEntries? {
    guard let (number, entries) = found(index), let sums else { return nil }
    return ChunkEntries(
      sums.blocks[number].block, bitmap: bitmaps[number], at: entries.lowerBound, in: file.file,
      extents)
  }

  /// The pages that the plan's block number `index` has here.
  func bitmap(ofBlock index: Int) -> PageBitmap? { found(index).map { bitmaps[$0.number] } }

  private func found(_ index: Int) -> (number: Int, entries: Range<FileOffset>)? {
    guard let pages = image.blocks[index].layout.pages, let sums else { return nil }
    for (number, (block, entries)) in sums.blockEntries.enumerated() where block.pages == pages {
      return (number, entries)
    }
    return nil
  }
}

/// Why a new image shares no blocks with the one that was to be its base: it is a full one then.
public enum BaseObstacle: Equatable, Sendable {
  /// The base has no checksums.
  case noChecksums
  /// RAMBlocks are others, or their pages are elsewhere in the file, as in another layout.
  case otherPlaces
  /// The file system cannot share blocks between the two files.
  case fileSystem
  /// The image is written where it is.
  case inPlace
  /// QEMU wrote the image.
  case writtenByQEMU
}

extension BaseObstacle: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .noChecksums: "The base has no checksums, by which it could be known what has changed."
    case .otherPlaces: "The base has other RAMBlocks, or their pages at other places."
    case .fileSystem:
      "Blocks cannot be shared between the two files: that takes one file system for both, and one that can, such as XFS or btrfs."
    case .inPlace: "The image is written where it is."
    case .writtenByQEMU: "QEMU wrote the image by itself."
    }
  }
}

/// What a new image shares with its base.
public struct BaseReport: Equatable, Sendable {
  /// The base.
  public var path: FilePath
  /// Bytes of present pages that are in blocks of the disk that both share.
  public var sharedBytes: UInt64 = 0
  /// Why there are none; `nil` where there can be.
  public var obstacle: BaseObstacle?

  /// Nothing, so far.
  package init(path: FilePath, obstacle: BaseObstacle? = nil) {
    self.path = path
    self.obstacle = obstacle
  }
}

extension SumsArea {
  /// Each block, and where its entries are.
  var blockEntries: [(block: Block, entries: Range<FileOffset>)] {
    var place = entries.lowerBound
    return blocks.map { block in
      let start = place
      place = place + ByteCount(block.entryCount * ContentSum.byteCount)
      return (block, start..<place)
    }
  }
}
