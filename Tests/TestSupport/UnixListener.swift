import Glibc
import LinuxIO
package import LinuxProcesses
package import SystemPackage

/// A Unix stream socket that waits for connections. Its name is removed when the last reference goes.
package final class UnixListener: Sendable {
  /// The path that it listens at.
  package let path: FilePath
  private let owned: OwnedDescriptor

  /// Makes the socket `path`, of any length as long as its last component is short, and listens.
  ///
  /// - Parameter backlog: how many connections may wait to be accepted, less one.
  /// - Throws: what bind(2) and listen(2) give: EADDRINUSE where the name is taken.
  package init(at path: FilePath, backlog: Int32 = 1) throws {
    let number = socket(AF_UNIX, Self.kind, 0)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    let owned = OwnedDescriptor(owning: number)
    let directory = try FileDescriptor.open(
      path.removingLastComponent(), .readOnly, options: [.directory, .closeOnExec])
    defer { _ = close(directory.rawValue) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path) - 1
    // A path that is longer than the address (unix(7)) by way of its directory.
    let short = "/proc/self/fd/\(directory.rawValue)/\(path.lastComponent?.string ?? "")"
    let name = path.string.utf8.count <= room ? path.string : short
    guard name.utf8.count <= room else { throw Errno.fileNameTooLong }
    // SAFETY: the name fits, with a zero behind it; the address lives for the call.
    let result = unsafe withUnsafeMutablePointer(to: &address) { address in
      unsafe withUnsafeMutableBytes(of: &address.pointee.sun_path) {
        unsafe $0.copyBytes(from: name.utf8)
      }
      return unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, listen(number, backlog) == 0 else { throw Errno(rawValue: errno) }
    self.path = path
    self.owned = owned
  }

  deinit {
    // SAFETY: the path's bytes end with a zero. An error has nobody to go to here.
    _ = unsafe path.withPlatformString { unsafe unlink($0) }
  }

  /// The next connection; `nil` if `deadline` passes first.
  ///
  /// - Throws: what accept(2) gives.
  package func accept(deadline: ContinuousClock.Instant) throws -> UnixSocket? {
    while true {
      var waiting = pollfd(fd: owned.rawValue, events: Int16(POLLIN), revents: 0)
      let left = ContinuousClock.now.duration(to: deadline)
      // SAFETY: one pollfd, alive for the call.
      if unsafe poll(&waiting, 1, left.pollMilliseconds) > 0 {
        let number = Glibc.accept(owned.rawValue, nil, nil)
        if number >= 0 {
          _ = fcntl(number, F_SETFD, FD_CLOEXEC)
          return UnixSocket(owning: OwnedDescriptor(owning: number), named: path)
        }
        // The client may have gone between poll and accept.
        guard [EINTR, ECONNABORTED].contains(errno) else { throw Errno(rawValue: errno) }
      } else if ContinuousClock.now >= deadline {
        return nil
      }
    }
  }

  private static let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
}
