public import LinuxIO
import Synchronization
public import SystemPackage

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
  /// Bytes a second that all channels move out of files or into them, at most; no limit by default.
  ///
  /// - Precondition: what is set is not 0, a limit that would never end.
  public var bytesPerSecond: UInt64? {
    didSet { precondition(bytesPerSecond != 0, "a limit of nothing would never end") }
  }
  /// The I/O priority of the channels; by default that of the thread that starts them.
  public var ioPriority: IOPriority?

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
  /// Bytes of buffers that a channel has at most: 4 MiB, or two requests if that is more. With more,
  /// what is copied leaves the processor's cache before it is written (0.24 in place of 0.19
  /// CPU-seconds per GiB, measured), and disks do not get faster.
  static let channelBytes = 4 << 20

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
  /// Bytes of the largest extent, and of a buffer.
  var extentBytes: Int
  /// Bytes of a request at most.
  var requestBytes: Int
  /// Requests under way at most.
  var queueDepth: Int

  /// The shape for extents of `extentBytes`.
  init(_ options: ChannelOptions, extentBytes: Int) {
    self.extentBytes = extentBytes
    requestBytes = options.requestBytes
    queueDepth = options.queueDepth
  }

  /// Extents in memory at most: two where one does not fill the bound, so that reading and writing
  /// overlap.
  var bufferCount: Int { max(2, min(queueDepth, ChannelOptions.channelBytes / extentBytes)) }

  /// Bytes of all buffers.
  var arenaBytes: Int { bufferCount * extentBytes }
}

// MARK: What became of it

/// What the channels did, and how.
public struct ChannelReport: Equatable, Sendable {
  /// Bytes and requests.
  public var totals: TransferTotals
  /// Where they could not work as they were asked to.
  public var notes: [ChannelNote]

  /// That of no channel.
  static let idle = ChannelReport(
    totals: TransferTotals(
      bytesRead: 0, bytesWritten: 0, directRequests: 0, bufferedRequests: 0),
    notes: [])
}

/// Where a channel could not work as it was asked to, and why.
public enum ChannelNote: Equatable, Sendable {
  /// The kernel or a container refused io_uring; pread and pwrite are used.
  case ioUringRefused(SystemCallError)
  /// The kernel would not pin the buffers; each request maps its own.
  case buffersNotRegistered(SystemCallError)
  /// A file is read or written through the page cache.
  case directIORefused(FilePath, DirectIORefusal)
}

/// The notes of all channels, each once.
final class ChannelNotes: Sendable {
  private let notes = Monitor<[ChannelNote]>([])

  func add(_ note: ChannelNote) {
    notes.withLock { if !$0.contains(note) { $0.append(note) } }
  }

  /// Notes that `file` goes through the page cache, if that was not what was asked for. One file
  /// stands for all of its directory.
  func add(_ file: File) {
    guard case .refused(let refusal) = file.directIO else { return }
    notes.withLock { notes in
      let isKnown = notes.contains { note in
        guard case .directIORefused(let path, refusal) = note else { return false }
        return path.removingLastComponent() == file.path.removingLastComponent()
      }
      if !isKnown { notes.append(.directIORefused(file.path, refusal)) }
    }
  }

  var all: [ChannelNote] { notes.withLock { $0 } }
}

/// What the channels have done; each adds, anyone may look.
final class ChannelCounters: Sendable {
  let progress: TransferProgress
  private let bytesRead = Atomic<UInt64>(0)
  private let bytesWritten = Atomic<UInt64>(0)
  private let directRequests = Atomic<UInt64>(0)
  private let bufferedRequests = Atomic<UInt64>(0)

  init(progress: TransferProgress) { self.progress = progress }

  /// Counts a request made.
  func countRequest(isDirect: Bool) {
    if isDirect {
      directRequests.wrappingAdd(1, ordering: .relaxed)
    } else {
      bufferedRequests.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// Counts bytes that a request moved.
  func moved(_ count: Int, isRead: Bool) {
    if isRead {
      bytesRead.wrappingAdd(UInt64(count), ordering: .relaxed)
    } else {
      bytesWritten.wrappingAdd(UInt64(count), ordering: .relaxed)
      progress.write(UInt64(count))
    }
  }

  /// Counts bytes of an extent that is done, whatever became of them.
  func finish(_ count: Int) { progress.finish(UInt64(count)) }

  /// What was counted so far.
  var totals: TransferTotals {
    TransferTotals(
      bytesRead: bytesRead.load(ordering: .relaxed),
      bytesWritten: bytesWritten.load(ordering: .relaxed),
      directRequests: directRequests.load(ordering: .relaxed),
      bufferedRequests: bufferedRequests.load(ordering: .relaxed))
  }
}

/// How much was moved, and in how many requests.
public struct TransferTotals: Equatable, Sendable {
  /// Bytes that came from files or were copied from memory.
  public var bytesRead: UInt64
  /// Bytes that went to files or were copied to memory.
  public var bytesWritten: UInt64
  /// Requests that bypassed the page cache.
  public var directRequests: UInt64
  /// Requests through the page cache.
  public var bufferedRequests: UInt64
}
