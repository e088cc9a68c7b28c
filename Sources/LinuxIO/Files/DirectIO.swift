public import SystemPackage

/// Whether large requests go past the page cache.
public enum DirectIOPolicy: String, CaseIterable, Sendable {
  /// Direct where the file system allows it, else buffered.
  case auto
  /// Direct, or opening fails.
  case required
  /// Buffered.
  case off
}

/// Why direct I/O is not used though it was wanted.
public enum DirectIORefusal: Equatable, Sendable {
  /// statx says that the file has none: its alignments are 0.
  case notOffered
  /// The file system has no disk beneath its page cache (tmpfs, ramfs, hugetlbfs).
  case memoryFileSystem
  /// Opening with O_DIRECT failed (EINVAL where the file system has none).
  case openFailed(Errno)
  /// The file opened, but a first aligned read failed.
  case readFailed(Errno)
  /// A `DirectIOProbe.refuse` asked for the refusal.
  case asked
}

/// Whether and how a file does direct I/O.
public enum DirectIO: Equatable, Sendable {
  /// Requests whose memory address is a multiple of `memoryAlignment`, and whose offset and length
  /// are multiples of `offsetAlignment` (both in bytes), go past the page cache.
  case active(memoryAlignment: Int, offsetAlignment: Int)
  /// It was wanted and is not possible.
  case refused(DirectIORefusal)
  /// It was not wanted.
  case off
}

/// Where the answer about direct I/O comes from. Anything but `kernel` is for tests.
package enum DirectIOProbe: Equatable, Sendable {
  /// From statx, checked with a read. Where neither the kernel (older than Linux 6.1) nor the file
  /// system says anything, a page is tried, which no file system is known to find too little.
  case kernel
  /// These alignments, in bytes; the file is still opened with O_DIRECT, and nothing is checked.
  case assume(memoryAlignment: Int, offsetAlignment: Int)
  /// As though the file system refused.
  case refuse
}

extension DirectIO {
  /// Whether requests can bypass the page cache.
  package var isActive: Bool { if case .active = self { true } else { false } }
}
