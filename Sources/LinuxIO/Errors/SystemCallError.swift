public import SystemPackage

/// A system call that failed, or that was not made since it could not do what was asked: which, why, and on what.
///
/// Its `description` is a whole message with the place and, for known causes, what to do.
public struct SystemCallError: Error, Equatable, Sendable {
  /// The call that failed.
  public var call: SystemCall
  /// The error number that it gave.
  public var errno: Errno
  /// What it was called for.
  public var subject: Subject

  /// What a failed call was about.
  public enum Subject: Equatable, Sendable {
    /// A file as a whole, or a name.
    case file(FilePath)
    /// A part of a file, in bytes from its begin.
    case range(FilePath, Range<UInt64>)
    /// A ring of io_uring.
    case ring
    /// Memory of so many bytes.
    case memory(byteCount: Int)
    /// A thread.
    case thread
    /// The process itself.
    case process
    /// Addresses of another process.
    case processMemory(Int32, Range<UInt64>)
    /// A socket by its path, or by a name that says what it is.
    case socket(FilePath)
    /// A path that leads to something else than one of the `expected` types.
    case unsuitable(FilePath, found: InodeType, expected: [InodeType])
    /// A symbolic link of another user, in a directory where everybody may make one: where it leads to is not his to say.
    case foreignLink(FilePath)
    /// A file of which direct I/O was required, and is not possible.
    case directIO(FilePath, DirectIORefusal)
    /// Bytes that are not all inside the file, which ends at `byteCount`.
    case outside(FilePath, Range<UInt64>, byteCount: UInt64)
  }

  /// An error of `call`, which gave `errno`, about `subject`.
  package init(call: SystemCall, errno: Errno, subject: Subject) {
    self.call = call
    self.errno = errno
    self.subject = subject
  }
}

extension SystemCallError {
  /// The path leads to something else than one of the `expected` types.
  public static func unsuitable(
    _ path: FilePath, found: InodeType, expected: [InodeType]
  ) -> SystemCallError {
    SystemCallError(
      call: .open, errno: .invalidArgument,
      subject: .unsuitable(path, found: found, expected: expected))
  }

  /// A symbolic link is not followed. The kernel gives the same where it follows by itself (proc_sys_fs(5), protected_symlinks).
  public static func foreignLink(_ path: FilePath) -> SystemCallError {
    SystemCallError(call: .open, errno: .permissionDenied, subject: .foreignLink(path))
  }

  /// Direct I/O was required and is not possible.
  public static func directIORefused(
    _ path: FilePath, _ refusal: DirectIORefusal
  ) -> SystemCallError {
    SystemCallError(call: .open, errno: .invalidArgument, subject: .directIO(path, refusal))
  }

  /// The bytes `range` are not all inside the file, which ends at `byteCount`.
  public static func outsideFile(
    _ path: FilePath, range: Range<UInt64>, byteCount: UInt64
  ) -> SystemCallError {
    SystemCallError(
      call: .mmap, errno: .invalidArgument,
      subject: .outside(path, range, byteCount: byteCount))
  }
}

/// The calls that the package makes, by their C names.
public enum SystemCall: String, CaseIterable, Sendable {
  case open, openat, close, read, pread, write, pwrite, fstat, lstat, statx, statfs, readlink
  case ftruncate, fallocate, fdatasync, fsync, lseek, ioctl, fcntl, flock, fchown, fchmod
  case linkat, renameat, unlinkat, unlink, mkdir
  case mmap, munmap, madvise, mincore, memfd_create, posix_fadvise, eventfd, pipe2
  case process_vm_readv, process_vm_writev, process_madvise
  case io_uring_setup, io_uring_enter, io_uring_register
  case pthread_create, fork, execvp, waitid, ioprio_set
  case pidfd_open, pidfd_send_signal, signalfd
  case socket, socketpair, setsockopt, getsockopt, connect
  case sendmsg, recvmsg, poll
}
