import CLinux
import Glibc
public import SystemPackage

/// A Unix stream socket that waits for connections. Its name is removed when the last reference goes.
public final class UnixListener: Sendable {
  /// The path that it listens at.
  public let path: FilePath
  private let owned: OwnedDescriptor

  /// Makes the socket `path`, for its owner alone where the file system has modes, and listens.
  ///
  /// A path longer than the 107 bytes of a socket's address is made through /proc, as long as its
  /// last component is short.
  ///
  /// Throws what bind(2) and listen(2) give: EADDRINUSE where the name is taken.
  public init(at path: FilePath, backlog: Int32 = 1) throws(SystemCallError) {
    let owned = try UnixSocket.make(path)
    var directory: OwnedDescriptor?
    var address = path
    if path.isLong, let name = path.lastComponent {
      let parent = path.removingLastComponent()
      let opened = try openDescriptor(parent.isEmpty ? "." : parent, flags: CLinux_O_PATH)
      address = FilePath("/proc/self/fd/\(opened.rawValue)").appending(name)
      directory = consume opened
    }
    // SAFETY: the path's bytes end with a zero and live for the call.
    let result = unsafe address.withPlatformString { unsafe CLinux_bindUnix(owned.rawValue, $0) }
    _ = consume directory
    try check(result, .bind, .socket(path))
    self.path = path
    self.owned = owned
    try check(CLinux_listen(self.owned.rawValue, backlog), .listen, .socket(path))
  }

  deinit {
    // SAFETY: the path's bytes end with a zero. An error has nobody to go to here.
    _ = unsafe path.withPlatformString { unsafe unlink($0) }
  }

  /// The next connection; `nil` if `deadline` passes first.
  ///
  /// Throws what accept4(2) gives.
  public func accept(deadline: ContinuousClock.Instant) throws(SystemCallError) -> UnixSocket? {
    while true {
      guard
        try UnixSocket.waitUntilReady(
          owned.rawValue, forWriting: false, deadline: deadline, path)
      else { return nil }
      let number = CLinux_accept(owned.rawValue)
      // The client may have gone between poll and accept.
      if number == -EINTR || number == -ECONNABORTED { continue }
      try check(number, .accept4, .socket(path))
      return UnixSocket(owning: OwnedDescriptor(owning: number), named: path)
    }
  }
}
