public import LinuxIO

/// How the channels work: their number, and what each has under way.
public struct ChannelOptions: Equatable, Sendable {
  /// Channels: threads with a ring each. 1 to 64.
  public let channels: Int
  /// Requests that a channel has under way at most. 1 to 1024.
  public let queueDepth: Int
  /// Bytes in a request at most: a power of two from 64 KiB to 16 MiB.
  public let requestBytes: Int
  /// What requests are made with.
  public var method: IOMethod
  /// Whether pages bypass the page cache.
  public var directIO: DirectIOPolicy

  /// What requests are made with.
  public enum IOMethod: String, CaseIterable, Sendable {
    /// A ring, or positioned calls where the kernel refuses it.
    case ioUring = "io_uring"
    /// pread and pwrite.
    case sync
  }

  /// What most machines do best with.
  public static let standard = ChannelOptions()

  /// Numbers of channels that are allowed: more threads than that only wait for one another.
  public static let channelsRange = 1...64
  /// Depths that are allowed; a ring of 1,024 entries is far beyond what one disk makes use of.
  public static let queueDepthRange = 1...1024
  /// Request sizes that are allowed.
  public static let requestBytesRange = (64 << 10)...(16 << 20)
  /// Bytes of buffers that a channel has at most: 4 MiB, or two requests if that is more. With more, what is copied leaves the
  /// processor's cache before it is written (0.24 in place of 0.19 CPU-seconds per GiB, measured), and disks do not get faster.
  static let bufferBytes = 4 << 20

  /// Options with these values.
  ///
  /// - Precondition: each is in its range, and `requestBytes` is a power of two.
  public init(
    channels: Int = 2, queueDepth: Int = 32, requestBytes: Int = 1 << 20,
    method: IOMethod = .ioUring, directIO: DirectIOPolicy = .auto
  ) {
    precondition(Self.channelsRange.contains(channels), "1 to 64 channels")
    precondition(Self.queueDepthRange.contains(queueDepth), "a depth of 1 to 1024")
    precondition(
      Self.requestBytesRange.contains(requestBytes) && requestBytes.nonzeroBitCount == 1,
      "requests of 64 KiB to 16 MiB, a power of two")
    self.channels = channels
    self.queueDepth = queueDepth
    self.requestBytes = requestBytes
    self.method = method
    self.directIO = directIO
  }
}

/// What a channel's memory looks like.
struct ChannelShape: Equatable, Sendable {
  /// Bytes of the largest piece, and of a slot.
  var pieceBytes: Int
  /// Bytes of a request at most.
  var requestBytes: Int
  /// Requests under way at most.
  var queueDepth: Int

  /// The shape for pieces of `pieceBytes`.
  init(_ options: ChannelOptions, pieceBytes: Int) {
    self.pieceBytes = pieceBytes
    requestBytes = options.requestBytes
    queueDepth = options.queueDepth
  }

  /// Pieces in memory at most: two where one does not fill the bound, so that reading and writing overlap.
  var slots: Int { max(2, min(queueDepth, ChannelOptions.bufferBytes / pieceBytes)) }

  /// Bytes of all slots.
  var arenaBytes: Int { slots * pieceBytes }
}
