import CLinux
import Glibc
package import SystemPackage

extension File {
  /// Opens the regular file or block device at `path`.
  ///
  /// Symbolic links are followed. A FIFO, a socket, a character device or a directory is refused
  /// with `SystemCallError.unsuitable` at once: the file is opened with O_NONBLOCK, so nobody waits for
  /// a writer. Nothing is created or cut.
  ///
  /// With `isExclusive` a block device that is mounted, or that somebody else has opened so, is refused: EBUSY (open(2), O_EXCL
  /// without O_CREAT). For other files it means nothing.
  ///
  /// Throws what open and fstat give, `.unsuitable`, and `.directIORefused` where
  /// `directIO` is `required` and the file has none.
  package static func open(
    _ path: FilePath, access: Access, directIO: DirectIOPolicy = .auto,
    probe: DirectIOProbe = .kernel, isExclusive: Bool = false
  ) throws(SystemCallError) -> File {
    let isExclusive = isExclusive && File.isBlockDevice(path)
    let buffered = try openWithoutWaiting(path, access, isExclusive ? O_EXCL : 0)
    let type = InodeType(try status(of: buffered.rawValue, path).type)
    return try File(
      adopting: buffered, type: type, path: path, access: access, directIO: directIO, probe: probe)
  }

  /// Opens the file that the descriptor `descriptor` is of, which the caller keeps.
  ///
  /// For descriptors that another process hands over. Throws as `open(_:access:directIO:probe:)`.
  package static func open(
    descriptor: CInt, access: Access, directIO: DirectIOPolicy = .auto,
    probe: DirectIOProbe = .kernel
  ) throws(SystemCallError) -> File {
    try open(
      FilePath("/proc/self/fd/\(descriptor)"), access: access, directIO: directIO, probe: probe)
  }

  /// Makes a file of `byteCount` zero bytes that is in memory alone and has no path
  /// (memfd_create); `name` stands in messages and in /proc/PID/maps.
  ///
  /// For memory that is shared with another process. Throws what memfd_create and ftruncate give.
  package static func inMemory(
    name: String, byteCount: UInt64
  ) throws(SystemCallError) -> File {
    let path = FilePath("memfd:\(name)")
    // SAFETY: the name's bytes end with a zero and live for the call.
    let number = unsafe name.withCString { unsafe CLinux_memoryFile($0) }
    try check(number, .memfd_create, .file(path))
    let file = File(
      path: path, kind: .regular, buffered: OwnedDescriptor(owning: number), direct: .off)
    try file.truncate(to: byteCount)
    return file
  }

  convenience init(
    adopting buffered: consuming OwnedDescriptor, type: InodeType, path: FilePath, access: Access,
    directIO: DirectIOPolicy, probe: DirectIOProbe
  ) throws(SystemCallError) {
    let kind: Kind
    switch type {
    case .regular: kind = .regular
    case .blockDevice: kind = .blockDevice
    default: throw .unsuitable(path, found: type, expected: [.regular, .blockDevice])
    }
    let number = buffered.rawValue
    try File.clearNonBlocking(number, path)
    let direct = try Direct.open(
      like: buffered, path: path, access: access, policy: directIO, probe: probe)
    self.init(path: path, kind: kind, buffered: buffered, direct: direct)
  }

  /// Takes O_NONBLOCK off: io_uring gives EAGAIN instead of waiting for files that have it and
  /// whose file system cannot say beforehand whether it would wait (Linux io_uring/rw.c).
  private static func clearNonBlocking(
    _ descriptor: CInt, _ path: FilePath
  ) throws(SystemCallError) {
    let flags = try retryingInterrupted(.fcntl, .file(path)) { fcntl(descriptor, F_GETFL) }
    guard flags & O_NONBLOCK != 0 else { return }
    _ = try retryingInterrupted(.fcntl, .file(path)) {
      fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK)
    }
  }

  private static func openWithoutWaiting(
    _ path: FilePath, _ access: Access, _ flags: CInt
  ) throws(SystemCallError) -> OwnedDescriptor {
    do throws(SystemCallError) {
      return try openDescriptor(path, flags: access.flag | O_NONBLOCK | O_NOCTTY | flags)
    } catch {
      // ENXIO: a socket, or a FIFO without a reader (open(2)); EISDIR: a directory to be written.
      if let found = unsuitableType(path, error) {
        throw .unsuitable(path, found: found, expected: [.regular, .blockDevice])
      }
      throw error
    }
  }

  /// What is at `path`, where opening it failed because of its type.
  private static func unsuitableType(_ path: FilePath, _ error: SystemCallError) -> InodeType? {
    guard error.errno == .isDirectory || error.errno == .noSuchAddressOrDevice else { return nil }
    guard let type = InodeType(at: path) else { return nil }
    return type == .regular || type == .blockDevice ? nil : type
  }
}
