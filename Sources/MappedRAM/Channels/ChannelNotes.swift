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

  /// Notes that `file` goes through the page cache, if that was not what was asked for. One file stands for all of its directory.
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
