public import ArgumentParser
public import LinuxIO
public import MappedRAM

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
  var options: ChannelOptions {
    ChannelOptions(
      channels: channels, queueDepth: queueDepth, requestBytes: Int(requestSize.byteCount),
      method: io, directIO: directIO)
  }
}
