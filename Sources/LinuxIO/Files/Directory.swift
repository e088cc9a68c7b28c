import Glibc
package import SystemPackage

/// Directories: making them, and taking back what was made.
package enum Directory {
  /// Makes the directory at `path`, for its owner alone, unless it is there. Its parent must be.
  ///
  /// - Returns: whether it was made.
  /// - Throws: what mkdir(2) gives; ENOTDIR where something else is there.
  package static func make(_ path: FilePath) throws(SystemCallError) -> Bool {
    // SAFETY: the path's bytes end with a zero and live for the call.
    let result = unsafe path.withPlatformString { unsafe mkdir($0, 0o700) }
    if result == 0 { return true }
    let number = errno
    if number == EEXIST {
      guard InodeType(at: path) == .directory else {
        throw SystemCallError(call: .mkdir, errno: .notDirectory, subject: .file(path))
      }
      return false
    }
    throw SystemCallError(call: .mkdir, errno: Errno(rawValue: number), subject: .file(path))
  }

  /// Whether there is nothing at `path`, after symbolic links; false where it may not be looked at.
  package static func isMissing(_ path: FilePath) -> Bool {
    do throws(Errno) {
      _ = try Stat(path)
      return false
    } catch {
      return error == .noSuchFileOrDirectory || error == .notDirectory
    }
  }

  /// Removes the directory at `path` if it is empty; an error has nobody to go to.
  package static func removeIfEmpty(_ path: FilePath) {
    // SAFETY: the path's bytes end with a zero and live for the call.
    _ = unsafe path.withPlatformString { unsafe rmdir($0) }
  }
}

extension FilePath {
  /// What the symbolic link at this path holds, which may be relative to where the link is.
  ///
  /// - Throws: what readlink(2) gives.
  package func linkTarget() throws(SystemCallError) -> FilePath { try linkTarget(in: AT_FDCWD) }

  /// As the other, of a path relative to `directory`.
  func linkTarget(in directory: CInt) throws(SystemCallError) -> FilePath {
    // Linux has no longer target than PATH_MAX, 4096 with the zero.
    var bytes = [CChar](repeating: 0, count: 4097)
    _ = try retryingInterrupted(.readlink, .file(self)) {
      // SAFETY: the path's bytes end with a zero; at most 4096 of the 4097 bytes are written.
      unsafe withPlatformString { unsafe readlinkat(directory, $0, &bytes, 4096) }
    }
    return FilePath(platformString: bytes)
  }
}
