import Glibc
import LinuxIO
import LinuxProcesses
import Synchronization
import SystemPackage

/// The standard descriptors of a QEMU that outlives this process: nothing to read, and a log or a socket of ours to write to.
///
/// The socket does not block: when no process reads, QEMU's messages are lost, and when our end is closed, QEMU, which
/// ignores SIGPIPE, does not mind.
final class DetachedOutputs {
  /// Our end of the socket; nil where there is a log.
  let messages: UnixSocket?
  /// The log, if it is new.
  let newLog: NewLog?
  private let errorSocket: UnixSocket?
  private let nothing: OwnedDescriptor
  private let logFile: OwnedDescriptor?

  /// Opens them; a log is made if it is not there, for its owner alone, and continued if it is, unless it is to be new.
  ///
  /// - Throws: `notALog`, `noReader`; what open(2) and socketpair(2) give.
  init(log: QEMULaunch.Log) throws(LaunchError) {
    nothing = try LaunchError.system { () throws(SystemCallError) in
      try Self.open("/dev/null", O_RDWR)
    }
    logFile = try Self.openLog(log)
    if case .new(let path) = log { newLog = NewLog(path) } else { newLog = nil }
    guard log == .none else {
      (messages, errorSocket) = (nil, nil)
      return
    }
    let (ours, theirs) = try LaunchError.system { () throws(SystemCallError) in
      try UnixSocket.pair(named: "messages of QEMU")
    }
    // Of a socket that has just been made, this cannot fail.
    _ = fcntl(theirs.descriptor, F_SETFL, O_RDWR | O_NONBLOCK)
    (messages, errorSocket) = (ours, theirs)
  }

  /// The three descriptors in `options`; they are valid as long as this value lives.
  func set(in options: inout ChildProcess.Options) {
    options.standardInput = nothing.rawValue
    switch logFile {
    case .some(let file):
      (options.standardOutput, options.standardError) = (file.rawValue, file.rawValue)
    case .none:
      options.standardOutput = nothing.rawValue
      options.standardError = errorSocket?.descriptor
    }
  }

  private static func openLog(
    _ log: QEMULaunch.Log
  ) throws(LaunchError) -> OwnedDescriptor? {
    switch log {
    case .none: return nil
    case .file(let path): return try openLog(path)
    case .new(let path):
      return try LaunchError.system { () throws(SystemCallError) in
        // Never through a link, or into what another user has put there.
        try open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND)
      }
    }
  }

  private static func openLog(_ path: FilePath) throws(LaunchError) -> OwnedDescriptor {
    guard try mayBeLog(path) else { throw .notALog(path: path.string) }
    do throws(SystemCallError) {
      // To open a pipe that no process reads from would block, and no signal of a user's would end that.
      let file = try open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK)
      // Of a file that has just been opened, this cannot fail.
      _ = fcntl(file.rawValue, F_SETFL, O_WRONLY | O_APPEND)
      return file
    } catch {
      guard error.errno == .noSuchAddressOrDevice, InodeType(at: path) == .fifo else {
        throw .system(error)
      }
      throw .noReader(path: path.string)
    }
  }

  /// Whether lines may go behind what is at `path`: not on a disk, nor into an image or the file of one. These have a mark of their own, or
  /// many zero bytes in their first 4 KiB; a guest may write some to its serial port.
  private static func mayBeLog(_ path: FilePath) throws(LaunchError) -> Bool {
    switch InodeType(at: path) {
    case nil, .characterDevice, .fifo: return true
    case .regular: break
    default: return false
    }
    do throws(SystemCallError) {
      let file = try File.open(path, access: .read, directIO: .off)
      let head = try file.readBytes(at: 0, count: Int(min(try file.size(), 4096)))
      return !marks.contains { head.starts(with: $0.utf8) } && !head.starts(with: qcowMark)
        && head.count { $0 == 0 } <= max(8, head.count / 8)
    } catch {
      // A log that may be written and not read is one, too.
      guard error.errno != .permissionDenied else { return true }
      throw .system(error)
    }
  }

  /// What images of VMs begin with, and images of disks: QEMU's and libvirt's, complete or not, LUKS, VMDK, VHDX, and an ELF core.
  private static let marks = [
    "QEVM", "LibvirtQemudSave", "LibvirtQemudPart", "LUKS", "KDMV", "vhdxfile", "\u{7F}ELF",
  ]
  private static let qcowMark: [UInt8] = [0x51, 0x46, 0x49, 0xFB]

  private static func open(
    _ path: FilePath, _ flags: CInt
  ) throws(SystemCallError) -> OwnedDescriptor {
    while true {
      // SAFETY: the path's bytes end with a zero and live for the call.
      let number = unsafe path.withPlatformString { name in
        unsafe Glibc.open(name, flags | O_CLOEXEC, 0o600)
      }
      if number >= 0 { return OwnedDescriptor(owning: number) }
      guard errno == EINTR else {
        throw SystemCallError(call: .open, errno: Errno(rawValue: errno), subject: .file(path))
      }
    }
  }
}

/// A log that was made for one QEMU, removed when the value goes unless it is kept.
final class NewLog: Sendable {
  private let path: FilePath
  private let isKept = Atomic<Bool>(false)
  private let taken = Atomic<UInt64>(0)

  /// The log at `path`, which has just been made.
  init(_ path: FilePath) { self.path = path }

  /// Leaves it to its readers.
  func keep() { isKept.store(true, ordering: .sequentiallyConsistent) }

  /// What has been written to it since the last call, but `limit` bytes at most.
  func take(limit: UInt64) -> String {
    do throws(SystemCallError) {
      let file = try File.open(path, access: .read, directIO: .off)
      let start = taken.load(ordering: .sequentiallyConsistent)
      let size = try file.size()
      guard size > start else { return "" }
      let bytes = try file.readBytes(at: start, count: Int(min(size - start, limit)))
      taken.store(start + UInt64(bytes.count), ordering: .sequentiallyConsistent)
      return String(decoding: bytes, as: UTF8.self)
    } catch {
      // It has been removed: there is nothing to be told.
      return ""
    }
  }

  deinit {
    guard !isKept.load(ordering: .sequentiallyConsistent) else { return }
    // SAFETY: the path's bytes end with a zero and live for the call.
    _ = unsafe path.withPlatformString { unsafe unlink($0) }
  }
}
