import CLinux
import Glibc
package import SystemPackage

extension File {
  /// The size in bytes: of the file now, or of the device.
  ///
  /// Throws what fstat, or ioctl with BLKGETSIZE64, gives.
  package func size() throws(SystemCallError) -> UInt64 {
    switch kind {
    case .regular:
      return UInt64(try status(of: buffered.rawValue, path).size)
    case .blockDevice:
      var byteCount: UInt64 = 0
      // SAFETY: the number is written before the call returns, and is not kept.
      try check(
        unsafe CLinux_blockDeviceSize(buffered.rawValue, &byteCount), .ioctl, .file(path))
      return byteCount
    }
  }

  /// Whether what is at `path`, after symbolic links, is a regular file with something in it.
  package static func hasContents(at path: FilePath) -> Bool {
    guard let found = try? Stat(path) else { return false }
    return found.type == .regular && found.size > 0
  }

  /// Makes an empty file at `path`, where nothing may be, not even a symbolic link, for `owner` alone.
  ///
  /// - Throws: EEXIST; what open(2), fchown(2) and fchmod(2) give, and nothing is left then.
  package static func makeEmpty(
    at path: FilePath, owner: FileOwner
  ) throws(SystemCallError) {
    let file = try openDescriptor(
      path, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    do throws(SystemCallError) {
      if owner.userID != geteuid() {
        _ = try retryingInterrupted(.fchown, .file(path)) {
          fchown(file.rawValue, owner.userID, owner.groupID)
        }
      }
      // Whatever the umask is.
      _ = try retryingInterrupted(.fchmod, .file(path)) { fchmod(file.rawValue, 0o600) }
    } catch {
      // SAFETY: the path's bytes end with a zero and live for the call. An error has nobody to go to.
      _ = unsafe path.withPlatformString { unsafe unlink($0) }
      throw error
    }
  }

  /// Removes the name `path` of a file that this process has made; an error has nobody to go to.
  package static func remove(_ path: FilePath) {
    // SAFETY: the path's bytes end with a zero and live for the call.
    _ = unsafe path.withPlatformString { unsafe unlink($0) }
  }

  /// Takes the permissions of others away from the regular file at `path`, if that is no link and has no other name, and this process
  /// may. Nothing is certain about it: for a file that somebody else has made.
  package static func narrow(_ path: FilePath) {
    guard let file = try? openDescriptor(path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
      let found = try? status(of: file.rawValue, path), found.type == .regular,
      found.linkCount == 1
    else { return }
    _ = fchmod(file.rawValue, 0o600)
  }

  /// The permissions of the regular file at `path`, after symbolic links (the lower nine bits of `st_mode`); `nil` for anything else.
  package static func permissions(at path: FilePath) -> UInt32? {
    guard let found = try? Stat(path), found.type == .regular else { return nil }
    return found.permissions.rawValue & 0o777
  }

  /// The bytes that the file takes on its file system, holes not counted; a device's size.
  ///
  /// A file system may allocate late, so the number is exact only after `syncData()`.
  package func allocatedBytes() throws(SystemCallError) -> UInt64 {
    switch kind {
    case .regular: UInt64(try status(of: buffered.rawValue, path).sizeAllocated)
    case .blockDevice: try size()
    }
  }

  /// Cuts the file, or lengthens it with a hole, to `byteCount` bytes.
  ///
  /// Throws what ftruncate gives (EINVAL for a device).
  package func truncate(to byteCount: UInt64) throws(SystemCallError) {
    let length = try signedOffset(byteCount, .ftruncate, path)
    _ = try retryingInterrupted(.ftruncate, .file(path)) {
      ftruncate(buffered.rawValue, length)
    }
  }

  /// Waits until all bytes written so far, and the size, are on the disk (fdatasync).
  ///
  /// What was written through either descriptor, since both are of one inode.
  package func syncData() throws(SystemCallError) {
    _ = try retryingInterrupted(.fdatasync, .file(path)) { fdatasync(buffered.rawValue) }
  }

  /// Makes a hole of `range`: it reads as zeros and takes no space. The size stays.
  ///
  /// Parts of blocks at the ends are zeroed. An empty range does nothing. Throws what fallocate
  /// gives: EOPNOTSUPP where the file system has no holes.
  package func punchHole(_ range: Range<UInt64>) throws(SystemCallError) {
    guard !range.isEmpty else { return }
    let first = try signedOffset(range.lowerBound, .fallocate, path)
    let count = try signedOffset(range.upperBound, .fallocate, path) - first
    while true {
      let result = CLinux_punchHole(buffered.rawValue, Int64(first), Int64(count))
      if result == -EINTR { continue }
      return try check(result, .fallocate, .range(path, range))
    }
  }

  /// Lets this file, which is empty, be what `source` is, in blocks that both share (ioctl_ficlone(2)).
  ///
  /// - Parameter copyOnWriteBytes: how much gets blocks of its own at least where shared ones are written. (XFS takes 128 KiB by itself, of
  ///   which what is not written is given back after some minutes; xfsctl(3). Others take no such hint.)
  /// - Returns: whether it is: not where the file system cannot do that, or the two are not on the same one.
  /// - Throws: what else ioctl gives, as ENOSPC.
  package func clone(
    _ source: File, copyOnWriteBytes: UInt32? = nil
  ) throws(SystemCallError) -> Bool {
    let result = CLinux_cloneFile(bufferedDescriptor, source.bufferedDescriptor)
    let refusals = [EOPNOTSUPP, EXDEV, EINVAL, ENOTTY, ENOSYS, EPERM, EISDIR, ETXTBSY, EBADF]
    if refusals.contains(-result) { return false }
    try check(result, .ioctl, .file(path))
    // A hint: without it the file is as good.
    if let copyOnWriteBytes { _ = CLinux_setCopyOnWriteBytes(bufferedDescriptor, copyOnWriteBytes) }
    return true
  }

  /// The first part of `range` that may hold something else than zeros, or nil where all of it is
  /// a hole or past the end of the file.
  ///
  /// Asks lseek for SEEK_DATA and SEEK_HOLE; the part is cut to `range`. Where the file system
  /// cannot tell, and on a device, the answer is `range` itself. So what lies outside the answer is
  /// a hole for certain, what lies inside may be zeros all the same.
  package func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
    guard !range.isEmpty else { return nil }
    guard kind == .regular else { return range }
    let first = try signedOffset(range.lowerBound, .lseek, path)
    let data: UInt64
    do throws(SystemCallError) {
      data = try seek(first, CLinux_SEEK_DATA, range)
      // A range past Int64.max - 1 has no data there; `seek` gives no larger number.
      guard data < range.upperBound else { return nil }
      let hole = try seek(off_t(data), CLinux_SEEK_HOLE, range)
      return data..<min(max(hole, data + 1), range.upperBound)
    } catch {
      switch error.errno {
      // Past the last byte of data, or past the end.
      case .noSuchAddressOrDevice: return nil
      case .invalidArgument, .notSupportedOnSocket: return range
      default: throw error
      }
    }
  }

  /// Where in `range` something else than zeros may begin, or nil where all of it is a hole or past the end of the file.
  ///
  /// Asks for SEEK_DATA alone: to find the end of data, tmpfs looks at each page up to the next hole, which for memory without holes
  /// is all of it (measured: 13 s for 2 GiB asked for in pieces of 1 MiB).
  package func nextDataStart(in range: Range<UInt64>) throws(SystemCallError) -> UInt64? {
    guard !range.isEmpty else { return nil }
    guard kind == .regular else { return range.lowerBound }
    let first = try signedOffset(range.lowerBound, .lseek, path)
    do throws(SystemCallError) {
      let data = try seek(first, CLinux_SEEK_DATA, range)
      return data < range.upperBound ? data : nil
    } catch {
      switch error.errno {
      case .noSuchAddressOrDevice: return nil
      case .invalidArgument, .notSupportedOnSocket: return range.lowerBound
      default: throw error
      }
    }
  }

  private func seek(
    _ offset: off_t, _ whence: CInt, _ range: Range<UInt64>
  ) throws(SystemCallError) -> UInt64 {
    // The descriptor's own position moves; nothing here uses it.
    UInt64(
      try retryingInterrupted(.lseek, .range(path, range)) {
        lseek(buffered.rawValue, offset, whence)
      })
  }
}
