import CLinux
import Glibc

/// What `Mapping.advise` can say, from madvise(2).
package enum Advice: Sendable {
  /// MADV_SEQUENTIAL: read ahead far.
  case sequential
  /// MADV_RANDOM: read nothing ahead.
  case random
  /// MADV_WILLNEED: read now, without waiting.
  case willNeed
  /// MADV_DONTNEED: drop the pages. Private ones read as the file, or as zeros, again.
  case dontNeed
  /// MADV_POPULATE_READ: make the pages present for reading, and wait (Linux 5.14).
  case populateRead
  /// MADV_POPULATE_WRITE: make the pages present for writing, and wait (Linux 5.14).
  case populateWrite
  /// MADV_HUGEPAGE: use huge pages where possible.
  case hugePages

  var number: CInt {
    switch self {
    case .sequential: MADV_SEQUENTIAL
    case .random: MADV_RANDOM
    case .willNeed: MADV_WILLNEED
    case .dontNeed: MADV_DONTNEED
    case .populateRead: CLinux_MADV_POPULATE_READ
    case .populateWrite: CLinux_MADV_POPULATE_WRITE
    case .hugePages: MADV_HUGEPAGE
    }
  }
}
