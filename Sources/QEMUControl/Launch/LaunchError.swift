public import LinuxIO

/// Why a QEMU could not be started.
public enum LaunchError: Error, Equatable, Sendable {
  /// The arguments, or the path for the socket, are not as they must be.
  case refused(LaunchRefusal)
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
    case .system(let error): error.description
    }
  }
}
