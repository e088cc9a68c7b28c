import CLinux
import Glibc
package import SystemPackage

extension File {
  /// Who may have the file locked at the same time.
  package enum Lock: Sendable {
    /// Others who ask for a shared lock.
    case shared
    /// Nobody else.
    case exclusive
  }

  /// Locks the file for as long as this or a descriptor that was duplicated from it is open (flock(2)).
  ///
  /// It binds only those who ask for such a lock, and on NFS it may reach no further than this host.
  ///
  /// - Throws: EWOULDBLOCK where somebody else has it.
  package func lock(_ lock: Lock) throws(SystemCallError) {
    try Self.lock(number: bufferedDescriptor, lock, path)
  }

  /// As the other, of a descriptor that is handed over; `path` stands in errors.
  package static func lock(
    _ descriptor: borrowing OwnedDescriptor, _ lock: Lock, path: FilePath
  ) throws(SystemCallError) {
    try Self.lock(number: descriptor.rawValue, lock, path)
  }

  /// How long somebody may have the lock still: a process that was killed a moment ago, or one that is being started, which has a copy
  /// of each descriptor until it becomes another program.
  private static var patience: Duration { .milliseconds(200) }

  private static func lock(
    number descriptor: CInt, _ lock: Lock, _ path: FilePath
  ) throws(SystemCallError) {
    let operation = (lock == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB
    let deadline = ContinuousClock.now + patience
    while true {
      do throws(SystemCallError) {
        _ = try retryingInterrupted(.flock, .file(path)) { flock(descriptor, operation) }
        return
      } catch {
        // A file system without locks (flock(2)) cannot keep anybody away.
        if [.notSupportedOnSocket, .notSupported, .noFunction, .noLocks].contains(error.errno) {
          return
        }
        guard error.errno == .wouldBlock, ContinuousClock.now < deadline else { throw error }
        usleep(5000)
      }
    }
  }

  /// Whether a QEMU has the file as a disk: it holds locks on bytes from 100 on (QEMU 10.0, block/file-posix.c, RAW_LOCK_PERM_BASE
  /// and RAW_LOCK_SHARED_BASE, 100 and 200).
  ///
  /// - Throws: what fcntl(2) gives.
  package func isLockedByQEMU() throws(SystemCallError) -> Bool {
    let result = CLinux_isLocked(bufferedDescriptor, 100, 200)
    if result == -EINVAL || result == -ENOLCK || result == -EOPNOTSUPP { return false }
    try check(result, .fcntl, .file(path))
    return result == 1
  }
}
