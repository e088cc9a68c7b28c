import CLinux
import Glibc

/// The files that this process may have open.
package enum OpenFiles {
  /// Raises the limit as far as it may be without privileges: from the soft limit, 1,024 on most systems, to the hard one.
  ///
  /// A restore into a directory has three descriptors for each RAMBlock until all files get their names. Programs that use
  /// select(2) must not do this; the library does not by itself. Where it is refused, the limit stays as it is.
  package static func raiseLimit() {
    let resource = Int32(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    // SAFETY: the limit is this function's own, and is not kept.
    guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    // SAFETY: as above.
    _ = unsafe setrlimit(resource, &limit)
  }

  /// Closes all descriptors of this process from `first` on, whoever has them: for a program that has just begun.
  package static func closeAll(from first: CInt) { CLinux_closeFrom(UInt32(first)) }
}
