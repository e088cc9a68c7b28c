import Glibc
package import SystemPackage

extension FileSystem {
  /// Bytes that this process may still write on the file system of `path`, or of its directory where nothing is at `path`.
  ///
  /// For root that is more than for others, where the file system keeps something back. `nil` where it cannot be told: not all file
  /// systems do (ramfs, some of FUSE). Quotas are not seen, nor what compression saves.
  package static func room(at path: FilePath) -> UInt64? {
    let parent = path.removingLastComponent()
    for place in [path, parent.isEmpty ? "." : parent] {
      var found = statvfs()
      // SAFETY: the path's bytes end with a zero; `found` is filled and not kept.
      guard unsafe place.withPlatformString({ unsafe statvfs($0, &found) }) == 0 else { continue }
      return room(found)
    }
    return nil
  }

  fileprivate static func room(_ found: statvfs) -> UInt64? {
    guard found.f_blocks > 0 else { return nil }
    let free = geteuid() == 0 ? found.f_bfree : found.f_bavail
    let (bytes, overflow) = UInt64(free).multipliedReportingOverflow(by: UInt64(found.f_frsize))
    return overflow ? .max : bytes
  }
}

extension File {
  /// Bytes that this process may still write on the file's own file system, as `FileSystem.room(at:)`: also where the file has no name here.
  package var room: UInt64? {
    var found = statvfs()
    // SAFETY: `found` is filled and not kept.
    guard unsafe fstatvfs(buffered.rawValue, &found) == 0 else { return nil }
    return FileSystem.room(found)
  }
}
