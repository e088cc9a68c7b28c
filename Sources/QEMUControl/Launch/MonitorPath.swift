import Glibc
import LinuxIO
import LinuxProcesses
import QEMUArguments
import Synchronization
import SystemPackage

/// The socket of a monitor that QEMU makes, removed when the value goes unless it is kept: a QEMU that is killed leaves it behind.
final class MonitorPath: Sendable {
  private let path: FilePath
  private let isKept = Atomic<Bool>(false)

  /// The socket `path`, which is to be made.
  ///
  /// - Throws: `socketTaken` where something is there, but for a socket that no process listens at. (QEMU would take a
  ///   socket away from whoever uses it.)
  init(_ path: FilePath) throws(LaunchError) {
    guard InodeType(at: path) == nil || Self.isAbandoned(path) else {
      throw .socketTaken(path: path.string)
    }
    self.path = path
  }

  /// Leaves the socket to QEMU, which removes it at its end.
  func keep() { isKept.store(true, ordering: .sequentiallyConsistent) }

  /// Adds the monitor to the arguments.
  func addMonitor(to line: inout QEMUCommandLine) {
    let properties = QEMUProperties([
      ("id", Self.id), ("path", path.string), ("server", "on"), ("wait", "off"),
    ])
    line.append("-chardev", "socket,\(properties.text)")
    line.append("-qmp", "chardev:\(Self.id)")
  }

  deinit {
    guard !isKept.load(ordering: .sequentiallyConsistent) else { return }
    // SAFETY: the path's bytes end with a zero and live for the call. Often QEMU has removed it already.
    _ = unsafe path.withPlatformString { unsafe unlink($0) }
  }

  private static func isAbandoned(_ path: FilePath) -> Bool {
    guard InodeType(at: path) == .socket else { return false }
    do throws(SystemCallError) {
      _ = try UnixSocket.connect(to: path, timeout: .seconds(1))
      return false
    } catch {
      return error.errno == .connectionRefused
    }
  }

  private static let id = "mapped-ram-qmp"
}
