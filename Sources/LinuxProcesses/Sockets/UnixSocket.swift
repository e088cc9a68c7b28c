import CLinux
import Glibc
package import LinuxIO
package import SystemPackage

/// A connected Unix stream socket. It is closed when the last reference goes.
///
/// Nothing here waits longer than the caller allows, and a peer that is gone is an error, never a
/// SIGPIPE. The methods may be called from any thread; two threads that send at the same time mix
/// their bytes.
package final class UnixSocket: Sendable {
  /// The path that it is connected to, or a name given to it; for messages.
  package let path: FilePath
  private let owned: OwnedDescriptor

  /// Takes over `descriptor`, a connected stream socket, called `path` in messages.
  package init(owning descriptor: consuming OwnedDescriptor, named path: FilePath) {
    self.owned = descriptor
    self.path = path
  }

  /// The descriptor's number, valid as long as the socket is referenced. For poll(2) by others.
  package var descriptor: CInt { owned.rawValue }

  /// Connects to the socket at `path`.
  ///
  /// A path longer than the 107 bytes of a socket's address (unix(7)) is reached through /proc.
  ///
  /// Throws what connect(2) gives: ECONNREFUSED where no process listens, and EAGAIN where the program
  /// that listens takes no more connections and still does not after `timeout`. ENOTSOCK where something else than a socket is at
  /// `path`, for which connect(2) says ECONNREFUSED as well.
  package static func connect(
    to path: FilePath, timeout: Duration = .seconds(10)
  ) throws(SystemCallError) -> UnixSocket {
    let owned = try make(path)
    try check(
      CLinux_setSendTimeout(owned.rawValue, max(timeout.wholeMicroseconds, 1)), .setsockopt,
      .socket(path))
    if path.isLong {
      let target = try openDescriptor(path, flags: CLinux_O_PATH)
      try connect(
        owned, to: FilePath("/proc/self/fd/\(target.rawValue)"), named: path, timeout: timeout)
      // Kept open until here: the short name goes through it.
      try target.close()
    } else {
      try connect(owned, to: path, named: path, timeout: timeout)
    }
    return UnixSocket(owning: owned, named: path)
  }

  private static func connect(
    _ owned: borrowing OwnedDescriptor, to address: FilePath, named path: FilePath,
    timeout: Duration
  ) throws(SystemCallError) {
    let deadline = ContinuousClock.now + timeout
    while true {
      // SAFETY: the path's bytes end with a zero and live for the call.
      let result = unsafe address.withPlatformString {
        unsafe CLinux_connectUnix(owned.rawValue, $0)
      }
      if result == -EINTR, ContinuousClock.now < deadline { continue }
      if result == -ECONNREFUSED, let found = InodeType(at: path), found != .socket {
        throw SystemCallError(call: .connect, errno: .notSocket, subject: .socket(path))
      }
      return try check(result, .connect, .socket(path))
    }
  }

  /// Two sockets that are connected to each other.
  ///
  /// Throws what socketpair(2) gives.
  package static func pair(
    named path: FilePath = "socketpair"
  ) throws(SystemCallError) -> (UnixSocket, UnixSocket) {
    var (first, second): (CInt, CInt) = (-1, -1)
    // SAFETY: both numbers are filled before the call returns, and are not kept.
    try unsafe check(CLinux_socketPair(&first, &second), .socketpair, .socket(path))
    return (
      UnixSocket(owning: OwnedDescriptor(owning: first), named: path),
      UnixSocket(owning: OwnedDescriptor(owning: second), named: path)
    )
  }

  /// Who made the other end.
  package struct Peer: Equatable, Sendable {
    /// The process that called connect, listen or socketpair; 0 where it is in a PID namespace that
    /// this process does not see. It may have ended, and its number may be another's by now.
    package var processID: Int32
    /// Its effective user then.
    package var userID: UInt32
    /// Its effective group then.
    package var groupID: UInt32
  }

  /// Who made the other end (SO_PEERCRED, unix(7)).
  ///
  /// Throws what getsockopt(2) gives.
  package func peer() throws(SystemCallError) -> Peer {
    var peer = Peer(processID: 0, userID: 0, groupID: 0)
    // SAFETY: the numbers are filled before the call returns, and are not kept.
    try unsafe check(
      CLinux_peer(owned.rawValue, &peer.processID, &peer.userID, &peer.groupID), .getsockopt,
      .socket(path))
    return peer
  }

  /// Ends the conversation in both directions: the peer sees the end, and a thread that waits in
  /// `receive` gets 0 bytes. The descriptor stays open. May be called from any thread, and twice.
  package func shutdown() {
    // It fails only where the peer has done so already (ENOTCONN).
    _ = CLinux_shutdown(owned.rawValue)
  }

  /// A new socket that is not connected.
  static func make(_ path: FilePath) throws(SystemCallError) -> OwnedDescriptor {
    let number = CLinux_unixSocket()
    try check(number, .socket, .socket(path))
    return OwnedDescriptor(owning: number)
  }
}

extension UnixSocket {
  /// Whether a program that knows no other way can make a socket at `path`: an address has room for 107 bytes (unix(7)).
  package static func hasRoom(for path: FilePath) -> Bool { !path.isLong }
}

extension FilePath {
  /// Whether it does not fit into a socket's address.
  var isLong: Bool { string.utf8.count > Int(CLinux_SOCKET_PATH_BYTES) }
}
