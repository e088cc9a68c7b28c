import Glibc
import SystemPackage

/// A file descriptor with one owner, closed when the owner goes.
package struct OwnedDescriptor: ~Copyable, Sendable {
  /// The descriptor's number, valid as long as the owner lives.
  package let rawValue: CInt

  /// Takes over the open descriptor `rawValue`, which nobody else may close.
  ///
  /// Precondition: `rawValue` is not negative.
  package init(owning rawValue: CInt) {
    precondition(rawValue >= 0, "A descriptor is never negative")
    self.rawValue = rawValue
  }

  deinit {
    // An error has nobody to go to here. Linux frees the number even then (close(2)).
    _ = Glibc.close(rawValue)
  }

  /// Closes the descriptor.
  ///
  /// Throws what close(2) gives: some file systems (NFS) report an earlier failed write here. The
  /// descriptor is closed in any case, so EINTR is not retried and is no error.
  package consuming func close() throws(SystemCallError) {
    let number = rawValue
    discard self
    if Glibc.close(number) != 0, Glibc.errno != EINTR {
      let path = FilePath("/proc/self/fd/\(number)")
      throw SystemCallError(call: .close, errno: Errno(rawValue: Glibc.errno), subject: .file(path))
    }
  }
}
