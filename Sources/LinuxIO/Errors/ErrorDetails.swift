public import SystemPackage

/// What kind of failure an error is: what programs act on, and what an exit status tells.
public enum ErrorKind: String, CaseIterable, Sendable {
  /// What was asked for makes no sense: an argument, or two of them together.
  case usage
  /// The bytes of an image, a manifest or the like are not valid.
  case badData
  /// Two things do not match: a VM and an image.
  case differs
  /// Something that is needed is missing, or refuses: QEMU, a feature of the kernel or the file system.
  case unavailable
  /// An output cannot be created, or would replace what must be kept.
  case cannotCreate
  /// A path leads nowhere, or cannot be used.
  case badPath
  /// A path leads to something of another type.
  case wrongType
  /// There is no room: on the file system, in a quota, below a limit of the file's size.
  case noSpace
  /// Reading or writing failed.
  case io
  /// The user may not do this.
  case notPermitted
  /// A stop was asked for.
  case interrupted
  /// The time that was allowed is over.
  case timedOut
}

/// What programs are told of an error, whichever it is.
public struct ErrorDetails: Equatable, Sendable {
  /// What kind of failure it is.
  public var kind: ErrorKind
  /// The file, directory or socket that it is about, if it is about one.
  public var path: FilePath?
  /// The place in that file, in bytes from its beginning, if it is about one.
  public var offset: UInt64?
  /// The system call that failed, if one did.
  public var systemCall: SystemCallError?

  /// The details of an error of this kind.
  package init(_ kind: ErrorKind, _ path: FilePath? = nil, offset: UInt64? = nil) {
    self.kind = kind
    self.path = path
    self.offset = offset
  }
}

extension SystemCallError {
  /// What programs are told of it.
  public var details: ErrorDetails {
    var details = ErrorDetails(kind)
    switch subject {
    case .file(let path), .socket(let path): details.path = path
    case .range(let path, let range), .outside(let path, let range, _):
      (details.path, details.offset) = (path, range.lowerBound)
    case .unsuitable(let path, _, _), .foreignLink(let path), .directIO(let path, _):
      // Nothing was called.
      return ErrorDetails(kind, path)
    case .ring, .memory, .thread, .process, .processMemory: break
    }
    details.systemCall = self
    return details
  }

  private var kind: ErrorKind {
    switch subject {
    case .unsuitable: return .wrongType
    case .foreignLink: return .notPermitted
    case .directIO: return .unavailable
    case .outside: return .badData
    default: break
    }
    return switch errno {
    case .permissionDenied, .notPermitted: .notPermitted
    case .noSpace, .diskQuotaExceeded, .fileTooLarge: .noSpace
    case .noSuchFileOrDirectory, .notDirectory, .isDirectory, .fileExists, .readOnlyFileSystem,
      .fileNameTooLong, .tooManySymbolicLinkLevels, .resourceBusy, .wouldBlock:
      .badPath
    default: .io
    }
  }
}
