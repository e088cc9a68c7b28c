import SystemPackage

extension SystemCallError: CustomStringConvertible {
  /// The message: what it was about, the call and the place, the reason, and what to do.
  public var description: String {
    guard let advice else { return statement }
    return "\(statement) \(advice)"
  }

  /// The message without what to do.
  public var statement: String {
    let reason = "\(errno.description)."
    switch subject {
    case .file(let path), .socket(let path):
      return "\(path): cannot \(call.action): \(reason)"
    case .range(let path, let range):
      let place = "0x\(String(range.lowerBound, radix: 16)) (\(range.byteCount) bytes)"
      return "\(path): cannot \(call.action) at \(place): \(reason)"
    case .memory(let byteCount):
      return "cannot \(call.action) \(byteCount) bytes of memory: \(reason)"
    case .processMemory(let number, let range):
      let place = "0x\(String(range.lowerBound, radix: 16)) (\(range.byteCount) bytes)"
      return "process \(number): cannot \(call.action) at \(place): \(reason)"
    case .ring, .thread, .process:
      return "cannot \(call.action): \(reason)"
    case .unsuitable(let path, let found, let expected):
      return "\(path): is a \(found.rawValue), but a \(InodeType.list(expected)) is needed."
    case .foreignLink(let path):
      return
        "\(path): this symbolic link is another user's, in a directory where everybody may make one, so it is not followed."
    case .directIO(let path, let refusal):
      return "\(path): direct I/O is not possible: \(refusal)."
    case .outside(let path, let range, let byteCount):
      return "\(path): bytes 0x\(String(range.lowerBound, radix: 16)) to "
        + "0x\(String(range.upperBound, radix: 16)) are wanted, but the file ends at "
        + "0x\(String(byteCount, radix: 16))."
    }
  }

  /// What the user can do about the error, in whole sentences; nil where nothing is known.
  public var advice: String? {
    switch subject {
    case .unsuitable, .outside: nil
    case .foreignLink: "Choose another name, or another directory."
    case .directIO: "Allow buffered I/O, or choose another file system."
    default: callAdvice
    }
  }

  private var callAdvice: String? {
    switch (call, errno) {
    case (.io_uring_setup, .notPermitted), (.io_uring_setup, .permissionDenied):
      "io_uring is refused to this process: by the sysctl kernel.io_uring_disabled, or by the "
        + "seccomp filter of the container."
    case (.io_uring_setup, .noFunction):
      "This kernel has no io_uring."
    case (.io_uring_setup, .noMemory), (.io_uring_register, .noMemory):
      "The limit of locked memory is too small: raise RLIMIT_MEMLOCK (ulimit -l)."
    case (.process_vm_readv, .notPermitted), (.process_vm_writev, .notPermitted),
      (.open, .permissionDenied) where subject.isOfProcess,
      (.open, .notPermitted) where subject.isOfProcess:
      "Reading another process needs the same user and kernel.yama.ptrace_scope 0, or "
        + "CAP_SYS_PTRACE."
    case (.process_madvise, .notPermitted):
      "It needs the right to read the process, and CAP_SYS_NICE."
    case (.process_vm_readv, .noSuchProcess), (.process_vm_writev, .noSuchProcess),
      (.pread, .noSuchProcess), (.ioctl, .noSuchProcess):
      "The process has ended."
    case (.process_vm_readv, .badAddress), (.process_vm_writev, .badAddress):
      "The process has no memory there that may be accessed: it may have changed its mappings."
    case (.process_vm_readv, .noFunction), (.process_vm_writev, .noFunction):
      "This kernel was built without the call (CONFIG_CROSS_MEMORY_ATTACH)."
    case (.memfd_create, .noMemory), (.mmap, .noMemory), (.madvise, .noMemory):
      "There is not enough memory: free some, or raise the limit of the process."
    case (.pthread_create, .resourceTemporarilyUnavailable):
      "The limit of threads is reached: raise the limit of processes (ulimit -u, or pids.max of the "
        + "control group)."
    case (.pread, .invalidArgument), (.pwrite, .invalidArgument), (.open, .invalidArgument),
      (.io_uring_enter, .invalidArgument):
      "With direct I/O the memory, the offset and the length must be multiples of what statx "
        + "reports for the file; try it without direct I/O."
    case (.open, .resourceBusy):
      "The device is mounted, or in use as swap, by LVM, RAID or another program. Choose another one."
    case (.fallocate, .notSupportedOnSocket):
      "The file system or the device cannot make holes."
    case (.flock, .wouldBlock):
      "Another process is writing this file, or a VM runs on it. Wait until that has ended, or choose another file."
    case (.connect, .connectionRefused):
      "No process listens on this socket. Is QEMU still running?"
    case (.connect, .notSocket):
      "Give the socket that QEMU was started with (-qmp unix:PATH,…); this is something else."
    case (.connect, .noSuchFileOrDirectory):
      "There is no such socket: give the path that QEMU was started with (-qmp unix:PATH,…)."
    case (.connect, .resourceTemporarilyUnavailable), (.connect, .timedOut):
      "The program at this socket accepts no more connections: another client is probably connected, "
        + "and QEMU serves one at a time. Close that client, or give QEMU a second socket."
    case (.connect, .protocolWrongTypeForSocket):
      "This is a socket of another kind; a stream socket is needed."
    case (.sendmsg, .brokenPipe), (.sendmsg, .connectionReset), (.recvmsg, .connectionReset):
      "The program at the other end has closed the connection or has ended."
    case (_, .fileNameTooLong):
      "Choose a shorter name."
    case (.execvp, .noSuchFileOrDirectory):
      "There is no such program: install it, or give its path."
    case (.execvp, .permissionDenied):
      "The file is not executable for this user."
    case (.execvp, .execFormatError):
      "The file is not an executable for this machine."
    case (.execvp, .resourceTemporarilyUnavailable),
      (.fork, .resourceTemporarilyUnavailable):
      "The limit of processes is reached: raise it (ulimit -u, or pids.max of the control group)."
    case (_, .noSpace):
      "Free space on the file system, or choose another place."
    case (_, .diskQuotaExceeded):
      "The quota of the user is used up: free space, or choose another place."
    case (_, .fileTooLarge):
      "The file is larger than the file system or the limit of the process (ulimit -f) allows."
    case (_, .readOnlyFileSystem):
      "The file system is read-only: choose another place."
    case (_, .permissionDenied), (_, .notPermitted):
      "Check the owner and mode of the file and of the directories above it."
    case (_, .tooManyOpenFiles):
      "Raise the limit of open files (ulimit -n)."
    case (_, .ioError):
      "The device or the file system failed: look at the kernel log (dmesg)."
    default: nil
    }
  }
}

extension SystemCall {
  /// What it is called for, in words that stand behind "cannot".
  package var action: String {
    switch self {
    case .open, .openat: "open"
    case .close: "close"
    case .read, .pread: "read"
    case .write, .pwrite: "write"
    case .fstat, .lstat, .statx, .statfs, .readlink, .ioctl, .fcntl: "get information"
    case .ftruncate: "set the length"
    case .fallocate: "make a hole"
    case .fdatasync, .fsync: "write to the disk"
    case .lseek: "look for data"
    case .flock: "lock"
    case .fchown: "set the owner"
    case .fchmod: "set the permissions"
    case .linkat, .renameat: "give the file its name"
    case .unlinkat, .unlink: "remove"
    case .mkdir: "create the directory"
    case .mmap: "map"
    case .munmap: "unmap"
    case .madvise, .mincore: "set up"
    case .memfd_create: "create a memory file"
    case .posix_fadvise: "drop from the page cache"
    case .eventfd: "create an event descriptor"
    case .pipe2: "create a pipe"
    case .process_vm_readv: "read memory"
    case .process_vm_writev: "write memory"
    case .process_madvise: "make huge pages"
    case .io_uring_setup: "set up io_uring"
    case .io_uring_enter: "use io_uring"
    case .io_uring_register: "register with io_uring"
    case .pthread_create: "start a thread"
    case .ioprio_set: "set the I/O priority"
    case .fork: "start a process"
    case .execvp: "run"
    case .waitid: "wait for the process"
    case .pidfd_open, .pidfd_send_signal: "reach the process"
    case .signalfd: "listen for signals"
    case .socket, .socketpair: "create a socket"
    case .setsockopt, .getsockopt: "set up the socket"
    case .connect: "connect"
    case .sendmsg: "send"
    case .recvmsg: "receive"
    case .poll: "wait"
    }
  }
}

extension SystemCallError.Subject {
  /// Whether it is a file below /proc/PID, which only those who may trace the process can open.
  fileprivate var isOfProcess: Bool {
    guard case .file(let path) = self else { return false }
    let parts = path.components.map(\.string)
    return path.isAbsolute && parts.count > 2 && parts[0] == "proc"
      && parts[1].allSatisfy { $0.isASCII && $0.isNumber }
  }
}

extension DirectIORefusal: CustomStringConvertible {
  /// The reason, as a part of a sentence.
  public var description: String {
    switch self {
    case .notOffered: "the file system says that this file has none"
    case .memoryFileSystem: "the file system keeps its files in memory alone"
    case .openFailed(let errno): "open with O_DIRECT: \(errno.description)"
    case .readFailed(let errno): "a first read with O_DIRECT: \(errno.description)"
    case .asked: "it was refused on request"
    }
  }
}

extension InodeType {
  fileprivate static func list(_ types: [InodeType]) -> String {
    types.map(\.rawValue).joined(separator: " or a ")
  }
}
