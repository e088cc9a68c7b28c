import LinuxIO
package import SystemPackage

extension UnixSocket {
  /// Whether a program listens at the socket at `path`, as /proc/net/unix has it (unix(7)); no process is disturbed.
  ///
  /// Sockets of other network namespaces are not there. Of those that were bound by a relative path it is not known where they are: if
  /// one has the same name, a connection tells.
  ///
  /// - Complexity: O(sockets of the network namespace).
  package static func isListening(at path: FilePath) -> Bool {
    guard InodeType(at: path) == .socket, let wanted = FileIdentity(at: path),
      // A kernel without the file leaves nothing to be said.
      let lines = try? ProcessText.lines(of: "/proc/net/unix")
    else { return false }
    let listed = lines.compactMap { listenerPath($0) }
    if listed.contains(where: { $0.isAbsolute && FileIdentity(at: $0) == wanted }) { return true }
    guard listed.contains(where: { !$0.isAbsolute && $0.lastComponent == path.lastComponent })
    else { return false }
    do throws(SystemCallError) {
      _ = try connect(to: path, timeout: .seconds(1))
      return true
    } catch {
      return error.errno != .connectionRefused
    }
  }

  /// The path in a line of /proc/net/unix about a socket that listens; `nil` for others, and for those without a path.
  static func listenerPath(_ line: ArraySlice<UInt8>) -> FilePath? {
    // Num, RefCount, Protocol, Flags, Type, St, Inode; the path is the rest of the line, with its spaces.
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
    guard fields.count == 8,
      let flags = UInt32(String(decoding: fields[3], as: UTF8.self), radix: 16),
      flags & acceptsConnections != 0, fields[7].first != UInt8(ascii: "@")
    else { return nil }
    return FilePath(String(decoding: fields[7], as: UTF8.self))
  }

  /// `__SO_ACCEPTCON` (Linux, include/linux/net.h).
  private static let acceptsConnections: UInt32 = 1 << 16
}
