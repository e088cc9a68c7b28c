import Glibc
import SystemPackage

extension File {
  /// Asks the kernel to drop the file's pages from the page cache (posix_fadvise, POSIX_FADV_DONTNEED), so that they are read
  /// from the device next.
  ///
  /// Only pages that are on the disk are dropped: call `syncData()` before. File systems in memory keep theirs.
  ///
  /// Throws what posix_fadvise gives.
  package func dropCache() throws(SystemCallError) {
    let result = posix_fadvise(buffered.rawValue, 0, 0, POSIX_FADV_DONTNEED)
    guard result == 0 else {
      throw SystemCallError(
        call: .posix_fadvise, errno: Errno(rawValue: result), subject: .file(path))
    }
  }
}
