public import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Why a QMP conversation failed.
public enum QMPError: Error, Equatable, Sendable {
  /// QEMU refused a command: its own class and text.
  case refused(command: String, errorClass: String, description: String)
  /// There was no answer within the command's time. Whether QEMU carried it out is not known.
  case timedOut(command: String, FilePath, after: Duration)
  /// The connection ended while a command (or, with `nil`, the greeting or an event) was awaited.
  case closed(command: String?, FilePath)
  /// Nothing came, not even a greeting: QEMU talks to one client at a time.
  case noGreeting(FilePath, after: Duration)
  /// Something else than QMP is at the socket; `found` is the begin of what it said.
  case notQMP(FilePath, found: String)
  /// QEMU sent something that is no QMP.
  case malformed(FilePath, Malformation)
  /// An answer does not have the form that the command's documentation gives it: `place` in it is
  /// not `expected`.
  case unexpectedAnswer(command: String, place: String, expected: String)
  /// The wait was cancelled, or nothing was sent any more as it was (`QMPConnection.isCancelled`).
  case cancelled
  /// A system call failed.
  case system(SystemCallError)

  /// What is wrong with a line from QEMU.
  public enum Malformation: Equatable, Sendable {
    /// It is no JSON, or has too many values.
    case text(JSONError)
    /// It is JSON, but no object with `return`, `error` or `event`.
    case shape(found: String)
    /// It is longer than `limit` bytes.
    case tooLong(limit: Int)
  }
}

extension QMPError {
  /// Whether QEMU has answered, and refused.
  package var isRefusal: Bool { if case .refused = self { true } else { false } }
}

extension QMPError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    switch self {
    case .system(let error):
      var details = error.details
      if details.kind != .notPermitted { details.kind = .unavailable }
      return details
    case .timedOut(_, let path, _), .closed(_, let path), .noGreeting(let path, _),
      .notQMP(let path, _), .malformed(let path, _):
      return ErrorDetails(.unavailable, path)
    case .refused, .unexpectedAnswer: return ErrorDetails(.unavailable)
    case .cancelled: return ErrorDetails(.interrupted)
    }
  }
}
