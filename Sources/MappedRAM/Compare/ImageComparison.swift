package import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Compares the contents of two images, or of an image and of a paused VM: machine type, RAMBlocks with their pages, state of devices. Layout, container, capabilities and areas
/// are no contents, and a page that is absent is one of zeros.
///
/// Where both images have sums of their contents, these are compared, and no page is read. Otherwise sums are taken of the pages of the
/// images that have none, at the speed of the disk, and pages are compared where they differ.
public struct ImageComparison: Sendable {
  /// The image that is compared.
  package var first: File
  /// What it is compared with.
  var second: Other
  /// Where the streams begin; `nil` where the container says, or at 0.
  public var streamOffset: FileOffset?
  /// Whether pages are read although both images have sums: then it is seen what is in the files now, not what was saved.
  public var readsContents = false
  /// How the channels work.
  public var options: ChannelOptions

  /// What an image is compared with.
  enum Other: Sendable {
    case image(File)
    case vm(VMContents)
  }

  /// A comparison of the images in `first` and `second`.
  package init(_ first: File, _ second: File, options: ChannelOptions = .standard) {
    self.first = first
    self.second = .image(second)
    self.options = options
  }

  /// A comparison of the image in `first` with a paused VM.
  package init(_ first: File, with vm: VMContents, options: ChannelOptions = .standard) {
    self.first = first
    second = .vm(vm)
    self.options = options
  }

  /// A comparison of the files or devices at `first` and `second`.
  ///
  /// - Throws: `ImageError.system`.
  public init(
    of first: FilePath, with second: FilePath, options: ChannelOptions = .standard
  ) throws(ImageError) {
    self.init(
      try ImageFile(opening: first, directIO: options.directIO).file,
      try ImageFile(opening: second, directIO: options.directIO).file, options: options)
  }

  /// What was found.
  public struct Outcome: Sendable {
    /// The machine types.
    public var machineTypes: (first: String, second: String)
    /// The blocks of the first, in the order of its list, and those that the second has besides.
    public var blocks: [BlockComparison] = []
    /// The devices that differ, in the order of the first image, and those that only the second has.
    public var devices: [DeviceComparison] = []
    /// The devices with states behind the stream that differ.
    public var buffers: [BufferComparison] = []
    /// What the user should know.
    public var remarks: [ComparisonRemark] = []
    /// What it took.
    public var report: TransferReport

    /// Whether the machine types differ.
    public var hasOtherMachineType: Bool { machineTypes.first != machineTypes.second }

    /// Whether nothing differs.
    public var isEqual: Bool {
      !hasOtherMachineType && devices.isEmpty && buffers.isEmpty
        && blocks.allSatisfy { !$0.outcome.isDifference }
    }
  }

  /// Compares.
  ///
  /// - Throws: `ImageError.format` where one of the images is damaged or incomplete; `.system`; `.cancelled`.
  public func run(
    progress: TransferProgress = TransferProgress(), cancellation: Cancellation = Cancellation()
  ) throws(ImageError) -> Outcome {
    let stopwatch = Stopwatch()
    let one = try ComparedContents(first, streamOffset, cancellation)
    let other: ComparedContents
    switch second {
    case .image(let file): other = try ComparedContents(file, streamOffset, cancellation)
    case .vm(let vm): other = try ComparedContents(vm, cancellation)
    }
    var blocks = BlockComparer(one, other, self, progress, cancellation)
    let found = try blocks.compareAll()
    let channels = try blocks.finish()
    var outcome = Outcome(
      machineTypes: (one.machineType, other.machineType), blocks: found,
      devices: try DeviceComparison.all(of: one, with: other),
      remarks: blocks.remarks,
      report: stopwatch.report(
        ramBytes: one.ramBytes + other.ramBytes,
        presentBytes: one.presentBytes + other.presentBytes, channels: channels, options: options,
        image: first, end: one.end))
    // A VM has such states as well, and they are not asked for.
    if let states = other.storedDevices {
      outcome.buffers = BufferComparison.all(of: one.storedDevices ?? [], with: states)
    } else if let states = one.storedDevices, !states.isEmpty {
      outcome.remarks.append(.statesNotCompared(states.map(\.identity)))
    }
    return outcome
  }
}

/// The contents of a paused VM, to be compared with those of an image. It must stay paused meanwhile.
package struct VMContents: Sendable {
  /// What errors are about.
  var path: FilePath
  var machineType: String
  var blocks: [SavePlan.Block]
  var state: DeviceStateStream
  var runState: RunState?

  /// A VM of its parts: its memory, and what QEMU has written of its devices, into a file that may be written to.
  ///
  /// - Parameter runState: what an image would say that it was doing; `nil` for what the state says.
  package init(
    path: FilePath, machineType: String, blocks: [SavePlan.Block], state: DeviceStateStream,
    runState: RunState?
  ) {
    self.path = path
    self.machineType = machineType
    self.blocks = blocks
    self.state = state
    self.runState = runState
  }
}

/// What a comparison found of a RAMBlock.
public struct BlockComparison: Equatable, Sendable {
  /// The block's name.
  public var idstr: String
  /// What was found.
  public var outcome: Outcome

  /// What was found of a block.
  public enum Outcome: Equatable, Sendable {
    /// Only the first image has it.
    case onlyInFirst
    /// Only the second image has it.
    case onlyInSecond
    /// Its used length or its page size differ; its contents were not compared.
    case shape(first: RAMBlock, second: RAMBlock)
    /// Its pages are in one image, and not in the other (`x-ignore-shared`).
    case ignored(inFirst: Bool)
    /// Its pages are in neither.
    case notThere
    /// Its pages were compared.
    case compared(PageDifferences)

    /// Whether the images differ by it.
    public var isDifference: Bool {
      switch self {
      case .onlyInFirst, .onlyInSecond, .shape, .ignored: true
      case .notThere: false
      case .compared(let pages): pages.count > 0
      }
    }
  }
}

/// The pages of a block that differ.
public struct PageDifferences: Equatable, Sendable {
  /// The pages; with `isByChunks` all of each chunk in which one differs.
  package var pages: PageBitmap
  /// How large they are.
  public var pageSize: PageSize
  /// Whether only sums were compared: each is of 64 KiB, and differs where one of its pages does.
  public var isByChunks: Bool
  /// Pages that differ, or of whose chunk one differs.
  public let count: Int

  package init(_ pages: PageBitmap, pageSize: PageSize, isByChunks: Bool) {
    self.pages = pages
    self.pageSize = pageSize
    self.isByChunks = isByChunks
    count = pages.population
  }

  /// Pages in the block.
  public var pageCount: Int { pages.pageCount }

  /// The first `limit` ranges of such pages, none next to another, and how many there are in all.
  public func ranges(limit: Int) -> (first: [Range<Int>], count: Int) {
    var found: [Range<Int>] = []
    var count = 0
    for range in pages.runs {
      count += 1
      if found.count < limit { found.append(range) }
    }
    return (found, count)
  }
}

/// What the user of a comparison should know.
public enum ComparisonRemark: Equatable, Sendable {
  /// The sums of this image are damaged, or are not those of what is in it: its contents were read.
  case unusableSums(FilePath)
  /// The sums of this block in this image are damaged: its contents were read.
  case unusableBlockSums(FilePath, idstr: String)
  /// Sums of the block differ, and the pages that were read do not: in one of the images the sums do not fit the pages.
  case sumsDoNotFit(idstr: String)
  /// The image has states of these devices behind its stream, which a VM is not asked for.
  case statesNotCompared([DeviceIdentity])
}

extension ComparisonRemark: CustomStringConvertible {
  /// A sentence or two.
  public var description: String {
    switch self {
    case .unusableSums(let path):
      "\(path): its checksums are damaged, or of another image, so its contents were read. \"mapped-ram verify\" tells more."
    case .unusableBlockSums(let path, let idstr):
      "\(path): the checksums of RAMBlock \"\(idstr)\" are damaged, so its contents were read. \"mapped-ram verify\" tells more."
    case .sumsDoNotFit(let idstr):
      "RAMBlock \"\(idstr)\": checksums differ where pages are the same: one of the images is damaged. \"mapped-ram verify\" tells which."
    case .statesNotCompared(let devices):
      "States of devices beside the VM's own were not compared: \(devices.map { "\"\($0)\"" }.joined(separator: ", "))."
    }
  }
}
