import CLinux
import SystemPackage

/// The priority with which a thread reads and writes (ioprio_set(2)); not every I/O scheduler heeds it.
public enum IOPriority: Equatable, Sendable {
  /// Only while nobody else wants the disk.
  case idle
  /// As most processes do: of level 0, the highest, to 7.
  case bestEffort(level: Int)

  /// The levels that there are.
  public static let levels = 0...7

  /// Gives this priority to the calling thread, and to those that it starts from then on.
  ///
  /// - Precondition: the level is one of `levels`.
  /// - Throws: what ioprio_set(2) gives.
  package func applyToThread() throws(SystemCallError) {
    let (kind, level): (Int32, Int) =
      switch self {
      case .idle: (CLinux_IOPRIO_IDLE, 0)
      case .bestEffort(let level): (CLinux_IOPRIO_BEST_EFFORT, level)
      }
    precondition(Self.levels.contains(level), "a level from 0 to 7")
    try check(CLinux_setIOPriority(kind, Int32(level)), .ioprio_set, .thread)
  }
}
