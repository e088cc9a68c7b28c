public import ArgumentParser
public import LinuxIO
public import MappedRAM
import MappedRAMFormat
import SystemPackage

extension FilePath {
  /// The image that `argument` names.
  static func image(_ argument: String) throws -> FilePath {
    guard argument != "-" else {
      throw ValidationError(
        "An image cannot be streamed: it is written and read out of order. Give a file or a block device."
      )
    }
    return FilePath(argument)
  }
}

/// Where the stream begins in an image that is read.
struct OffsetArgument: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the stream begins in the image. (default: where libvirt's header says, or 0)",
      valueName: "bytes"))
  var offset: ByteSize?

  /// The offset, if it is given.
  var streamOffset: FileOffset? { offset.map { FileOffset($0.byteCount) } }
}

/// How an image is written, and what the help of the verbs that write one says of it.
struct OutputImageArguments: ParsableArguments {
  /// What the image is, as an argument.
  static let image: ArgumentHelp =
    "The image: a file, which is created or replaced, or a block device."
  /// When it appears, and what it replaces.
  static let appearance = """
    The image appears under its name once it is complete and on the disk, and replaces what had the name. A block \
    device is written in place, and so is a file with --in-place; its first eight bytes are written last. Only an image, \
    unless it is known to be of another VM, or an empty file is replaced; anything else needs --force.
    """
  /// What is left where it fails.
  static let onFailure = """
    On failure nothing is left behind, except that a device or file that is written in place holds no image any more.
    """

  @OptionGroup var force: ForceArgument

  @Flag(
    help: """
      Write into the existing file, to keep its place, mode or links. While this runs it is no image, and nothing that it held is kept.
      """)
  var inPlace = false

  /// Whether the image is written where it is, and not under another name first.
  func writesInPlace(_ image: FilePath) -> Bool { inPlace || File.isBlockDevice(image) }

  /// Runs `body`; if it is interrupted and has left no image in a file or device that is written in place, the error says so.
  func sayingWhatIsLeft<Value>(
    in image: FilePath, at streamOffset: FileOffset = .zero,
    _ body: () throws(CommandError) -> Value
  ) throws(CommandError) -> Value {
    do throws(CommandError) {
      return try body()
    } catch {
      guard writesInPlace(image), error == .image(.cancelled, output: image),
        !Self.isImage(image, at: streamOffset)
      else { throw error }
      throw .interrupted(image, leaving: .noImage)
    }
  }

  /// Whether what was there before is there still: its header is the first thing to go.
  private static func isImage(_ image: FilePath, at streamOffset: FileOffset) -> Bool {
    do {
      let file = try File.open(image, access: .read, directIO: .off)
      let head = try file.readBytes(at: streamOffset.rawValue, count: 16)
      return StreamHeader.isPresent(in: head) || LibvirtHeader.isPresent(in: head)
    } catch {
      return false
    }
  }
}

/// What a verb that writes files may replace.
struct ForceArgument: ParsableArguments {
  @Flag(
    help: """
      Replace what is kept by default: files that are no image, images of another VM, files of unknown origin, what a block device \
      holds. A file that the VM uses is never replaced.
      """)
  var force = false

  var replacing: Replacing { force ? .anything : .images }
}

extension IOPriority: ExpressibleByArgument {
  /// What `argument` says: `idle`, `best-effort`, or `best-effort:LEVEL`.
  public init?(argument: String) {
    switch argument {
    case "idle": self = .idle
    case "best-effort": self = .bestEffort(level: 4)
    default:
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "best-effort", let level = Int(parts[1]),
        Self.levels.contains(level)
      else { return nil }
      self = .bestEffort(level: level)
    }
  }
}

/// How much of the disk a verb that moves data may have.
struct TransferArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Bytes a second that are moved at most; 1M or more. A live save is limited only while the VM runs, and a load by QEMU not at all. \
      (default: no limit)
      """, valueName: "bytes"))
  var maxBandwidth: ByteSize?

  @Option(
    help: ArgumentHelp(
      """
      The I/O priority of what mapped-ram itself moves: idle, best-effort, or best-effort:0 (highest) to best-effort:7. Not all I/O \
      schedulers heed it. (default: that of the process)
      """, valueName: "priority"))
  var ioPriority: IOPriority?

  func validate() throws {
    if let maxBandwidth, maxBandwidth.byteCount < 1 << 20 {
      throw ValidationError("--max-bandwidth is \(maxBandwidth); expected 1M or more.")
    }
  }
}

/// QEMU's process.
struct ProcessArgument: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "QEMU's process ID, if it is not the one that QMP leads to.", valueName: "number"))
  var pid: Int32?
}

/// How progress is shown on stderr.
enum ProgressMode: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// A line that is renewed, if stderr is a terminal.
  case auto
  /// A JSON object a line.
  case json
  /// Not at all.
  case none
}

/// The options that every command has, with the same meaning.
struct OutputArguments: ParsableArguments {
  @Option(
    help: """
      Progress on stderr: a line on a terminal, JSON lines, or none. With json, the report and errors are JSON lines as well, told apart \
      by their type.
      """)
  var progress = ProgressMode.auto

  @Flag(help: "Print the result as JSON on stdout.")
  var json = false

  @Flag(
    name: .shortAndLong, help: "No progress and no report on stderr; warnings and errors remain.")
  var quiet = false

  @Flag(
    name: .shortAndLong,
    help: "Tell more: how data was moved, and the system call behind an error.")
  var verbose = false

  @Option(
    help: ArgumentHelp(
      "Give up after this time, as if interrupted: everything is undone. (default: no limit)",
      valueName: "seconds"))
  var timeout: Double?

  func validate() throws {
    if let timeout, !(0.001...1e9).contains(timeout) {
      throw ValidationError("--timeout is \(timeout); expected 0.001 or more seconds.")
    }
  }

  /// How long the command may take, if that is limited.
  var timeLimit: Duration? { timeout.map { .seconds($0) } }
}

extension ChannelOptions.IOMethod: ExpressibleByArgument {}
extension DirectIOPolicy: ExpressibleByArgument {}

/// The options that say how data moves, for the commands that move any.
struct ChannelArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Threads that move data, each with its own io_uring ring; \(Limits.channels).",
      valueName: "number"))
  var channels = ChannelOptions.standard.channels

  @Option(
    help: ArgumentHelp(
      "Requests that each channel keeps under way at most; \(Limits.queueDepth).",
      valueName: "number"))
  var queueDepth = ChannelOptions.standard.queueDepth

  @Option(
    help: ArgumentHelp(
      "Bytes in a request at most: a power of two, \(Limits.requestSize).", valueName: "bytes"))
  var requestSize = ByteSize(UInt64(ChannelOptions.standard.requestBytes))

  @Option(
    help: ArgumentHelp(
      "What requests are made with. Where the kernel refuses io_uring, sync is used and the report says so."
    ))
  var io = ChannelOptions.standard.method

  @Option(
    help: ArgumentHelp(
      "Whether pages bypass the page cache: where the file system allows it, always or fail, or never."
    ))
  var directIO = ChannelOptions.standard.directIO

  /// The limits as the help and the errors name them.
  enum Limits {
    static let channels = text(ChannelOptions.channelsRange)
    static let queueDepth = text(ChannelOptions.queueDepthRange)
    static let requestSize =
      "\(ByteSize(UInt64(ChannelOptions.requestBytesRange.lowerBound))) to "
      + "\(ByteSize(UInt64(ChannelOptions.requestBytesRange.upperBound)))"

    private static func text(_ range: ClosedRange<Int>) -> String {
      "\(range.lowerBound) to \(range.upperBound)"
    }
  }

  func validate() throws {
    guard ChannelOptions.channelsRange.contains(channels) else {
      throw ValidationError("--channels is \(channels); expected \(Limits.channels).")
    }
    guard ChannelOptions.queueDepthRange.contains(queueDepth) else {
      throw ValidationError("--queue-depth is \(queueDepth); expected \(Limits.queueDepth).")
    }
    guard let bytes = Int(exactly: requestSize.byteCount),
      ChannelOptions.requestBytesRange.contains(bytes), bytes.nonzeroBitCount == 1
    else {
      throw ValidationError(
        "--request-size is \(requestSize); expected a power of two, \(Limits.requestSize).")
    }
  }

  /// The options, once they have been validated.
  func options(_ transfer: TransferArguments? = nil) -> ChannelOptions {
    var options = ChannelOptions(
      channels: channels, queueDepth: queueDepth, requestBytes: Int(requestSize.byteCount),
      method: io, directIO: directIO)
    options.bytesPerSecond = transfer?.maxBandwidth?.byteCount
    options.ioPriority = transfer?.ioPriority
    return options
  }
}
