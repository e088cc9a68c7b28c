public import LinuxIO
public import QEMUArguments

/// Why a QEMU could not be started.
public enum LaunchError: Error, Equatable, Sendable {
  /// The arguments are not as they must be.
  case refused(LaunchRefusal)
  /// The path of the socket that is to be made is taken.
  case socketTaken(path: String)
  /// The path of a disk's overlay that is to be made is taken.
  case overlayExists(path: String)
  /// What is at the path of the log is no text.
  case notALog(path: String)
  /// The log is to go into a pipe at this path, from which no process reads.
  case noReader(path: String)
  /// A program listens at the socket that an option tells QEMU to make, and would lose it.
  case socketInUse(path: String, option: String)
  /// A system call failed.
  case system(SystemCallError)

  static func system<Value: ~Copyable>(
    _ body: () throws(SystemCallError) -> Value
  ) throws(LaunchError) -> Value {
    do throws(SystemCallError) {
      return try body()
    } catch {
      throw .system(error)
    }
  }
}

extension LaunchError: CustomStringConvertible {
  /// The message: what is wrong, and what to do.
  public var description: String {
    switch self {
    case .refused(let refusal): refusal.description
    case .socketTaken(let path):
      "\(path): this path exists already. Remove it if no process uses it, or choose another path."
    case .overlayExists(let path):
      "\(path): this file exists already, and may be the disk of another clone: nothing was changed. Give each clone a directory of its own."
    case .notALog(let path):
      "\(path): this is not a log, and QEMU's output would be appended to it: nothing was changed. Choose another path."
    case .noReader(let path):
      "\(path): no process reads from this pipe, and QEMU would block. Start the reader first, or choose another path."
    case .socketInUse(let path, let option):
      "\(option) \(path): a process listens there, probably the VM that was saved, and would lose its socket. End it first, or "
        + "choose another path."
    case .system(let error): error.description
    }
  }
}
