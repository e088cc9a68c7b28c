public import LinuxIO
public import SystemPackage

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

  var all: [ChannelNote] { notes.withLock { $0 } }
}
