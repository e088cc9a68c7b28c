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
  private let image: Image
  /// What is known of each block, `nil` for one without pages here; `nil` where there are no sums.
  private let blocks: [Block?]?

  private struct Block {
    var entries: FileOffset
    var bitmap: PageBitmap
  }

  /// The image at `path`, which nobody may write meanwhile.
  ///
  /// - Throws: `format`, where it is damaged or incomplete, or its sums are; `contents(_, .foreignSums)`; `system`.
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
      blocks = nil
      return
    }
    let sums: SumsArea
    switch try SumsArea.read(header, of: file) {
    case .success(let found): sums = found
    case .failure(let problem): throw .format(problem, in: path)
    }
    guard sums.hasBlocks(of: image) else { throw .contents(path, .foreignSums) }
    blocks = try image.blocks.map { (block) throws(ImageError) in
      guard let (known, entries) = sums.entries(of: block) else { return nil }
      guard try file.sum(of: known.bitmap) == known.bitmapSum,
        try file.sum(of: entries) == known.entriesSum
      else {
        throw .format(
          FormatError(
            .sums(.entriesDamaged(idstr: block.idstr)), at: entries.lowerBound,
            in: .area(.sums)), in: path)
      }
      return Block(
        entries: entries.lowerBound, bitmap: try file.bitmap(of: known.block, at: known.bitmap))
    }
  }

  /// Whether slots of absent pages hold zeros, or are holes.
  var statesZeroSlots: Bool { image.statesZeroSlots }

  /// Why an image of `plan` cannot share blocks with this one, whatever the file system; `nil` where it may.
  func obstacle(for plan: SavePlan) -> BaseObstacle? {
    guard blocks != nil else { return .noChecksums }
    guard plan.layout.blocks.map(\.pages) == image.blocks.map(\.layout.pages),
      zip(image.blocks, plan.blocks).allSatisfy({ $0.block.hasSamePages(as: $1.block) })
    else { return .otherPlaces }
    return nil
  }

  /// What is known of the chunks of the plan's block number `index`; `nil` where it has no pages here.
  func entries(ofBlock index: Int, _ extents: ExtentPlan) -> ChunkEntries? {
    blocks?[index].map {
      ChunkEntries(
        image.blocks[index].block, bitmap: $0.bitmap, at: $0.entries, in: file.file, extents)
    }
  }

  /// Absent pages of the plan's block number `index`, whose other pages are `present`, whose slots in `copy`, which has begun as a copy of
  /// this image, may hold something else than zeros.
  func stalePages(
    ofBlock index: Int, besides present: PageBitmap, in copy: File
  ) throws(ImageError) -> PageBitmap {
    // What is absent here is zeros; or nobody knows.
    if statesZeroSlots, var pages = blocks?[index]?.bitmap {
      pages.subtract(present)
      return pages
    }
    return try SlotAllocation.find(image.blocks[index], present: present, in: copy)?.stalePages
      ?? PageBitmap(pageCount: present.pageCount)
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
    case .noChecksums: "The base has no checksums, so it cannot be told what has changed."
    case .otherPlaces: "The base has other RAMBlocks, or their pages at other file offsets."
    case .fileSystem:
      "Blocks cannot be shared: both files must be on one file system that supports reflinks, such as XFS or btrfs."
    case .inPlace: "The image is written in place."
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
