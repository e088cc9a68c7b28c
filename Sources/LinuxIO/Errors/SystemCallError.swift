public import SystemPackage

/// A system call that failed: which, why, and on what.
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
  }

  /// An error of `call`, which gave `errno`, about `subject`.
  public init(call: SystemCall, errno: Errno, subject: Subject) {
    self.call = call
    self.errno = errno
    self.subject = subject
  }
}

/// The calls that the package makes, by their C names.
public enum SystemCall: String, CaseIterable, Sendable {
  case open, openat, close, read, pread, write, pwrite, fstat, lstat, statx, statfs, readlink
  case ftruncate, fallocate, fdatasync, fsync, lseek, ioctl, fcntl, flock, fchown, fchmod
  case linkat, renameat, unlinkat, unlink, mkdir
  case mmap, munmap, madvise, mincore, memfd_create, posix_fadvise, eventfd, pipe2
  case process_vm_readv, process_vm_writev
  case io_uring_setup, io_uring_enter, io_uring_register
  case pthread_create, fork, execvp, waitid
  case pidfd_open, pidfd_send_signal, signalfd
  case socket, socketpair, setsockopt, getsockopt, connect
  case sendmsg, recvmsg, poll
}
