import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Puts back what is damaged in an image, from others that still have it: copies, older images of the same VM, directories.
///
/// The image's own sums say what is right, and nothing is written that does not have the wanted sum. Only bytes that are damaged are
/// written over, each by the right one: interrupted at any moment, the image is no worse than before.
public struct ImageRepair: Sendable {
  /// The image.
  public var image: FilePath
  /// Where contents may be taken from, in the order in which they are asked. None of it is changed.
  public var others: [FilePath]
  /// Where the image's stream begins; `nil` where the container says, or at 0.
  public var streamOffset: FileOffset?
  /// How the channels work.
  public var options: ChannelOptions

  /// A repair of the file or device at `image`.
  public init(
    _ image: FilePath, from others: [FilePath], streamOffset: FileOffset? = nil,
    options: ChannelOptions = .standard
  ) {
    self.image = image
    self.others = others
    self.streamOffset = streamOffset
    self.options = options
  }

  /// What became of it.
  public struct Outcome: Sendable {
    /// What was put back, in the order of the file.
    public var repaired: [Repaired]
    /// What the image is now: what stays damaged stands in it.
    public var verification: ImageVerification.Outcome
  }

  /// Something that was damaged and is right now.
  public struct Repaired: Equatable, Sendable {
    /// What it is.
    public var part: Part
    /// The bytes of the file that were written over, or the first and the last of them and what is between.
    public var range: Range<FileOffset>
    /// Where its contents are from; `nil` where the image itself had all that was needed.
    public var source: FilePath?
  }

  /// What can be put back.
  public enum Part: Equatable, Sendable {
    /// Pages of a block.
    case pages(idstr: String, Range<Int>)
    /// The page bitmap of a block.
    case bitmap(idstr: String)
    /// The sums of a block's chunks.
    case entries(idstr: String)
    /// Other bytes of the stream: the state of a device, if that is known.
    case span(device: String?)
    /// A buffer of a device's state.
    case buffer(DeviceIdentity, number: Int)
    /// The header of an area.
    case areaHeader(AreaKind)
    /// The table of an area.
    case areaTable(AreaKind)
    /// What closes the areas.
    case closing
  }

  /// Checks the image, puts back what it can, and checks it again.
  ///
  /// - Throws: `ImageError`: `contents(_, .noSums)` for an image without sums; `PlanError.sameFile`;
  ///   `TargetError.usedByQEMU`; `system`, also where something
  ///   cannot be written: what was put back before stays.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> Outcome {
    if let own = FileIdentity(at: image),
      let same = others.first(where: { FileIdentity(at: $0) == own })
    {
      throw .plan(.sameFile(image, same))
    }
    let file = try ImageFile(
      changing: image, directIO: options.directIO, cancellation: cancellation)
    let sources = try others.map { (path) throws(ImageError) in
      try RepairSource(path, streamOffset: streamOffset, cancellation: cancellation)
    }
    let check = ImageVerification(file.file, streamOffset: streamOffset, options: options)
    var run = RepairRun(file: file, sources: sources, check: check, progress: progress)
    let verification = try run.run()
    return Outcome(
      repaired: run.repaired.sorted { $0.range.lowerBound < $1.range.lowerBound },
      verification: verification)
  }
}
