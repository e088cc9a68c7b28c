import LinuxIO
import MappedRAM
import MappedRAMBench
import QEMUControl
import QMP
import SystemPackage

/// How the command ends: the one place where that is decided. The numbers are those of sysexits.h where it has one.
enum ExitStatus: Int32, CaseIterable, Sendable {
  /// Done.
  case success = 0
  /// The answer is no.
  case negative = 1
  /// The image is complete, but the VM may not be as it was to be.
  case incomplete = 2
  /// The command line is not right.
  case usage = 64
  /// The bytes of an image or a manifest are not right.
  case badData = 65
  /// Something that is needed is not there: a feature of the kernel or the file system.
  case unavailable = 69
  /// An output cannot be made.
  case cannotCreate = 73
  /// Reading or writing failed.
  case ioError = 74
  /// The time that the user gave was over (EX_TEMPFAIL).
  case timedOut = 75
  /// Something is not permitted.
  case notPermitted = 77
  /// The user asked for the end.
  case interrupted = 130
}

extension ExitStatus {
  /// What the status means in general.
  var meaning: String {
    switch self {
    case .success: "done"
    case .negative: "what is compared does not match"
    case .incomplete: "the image is complete, but the VM is not as asked"
    case .usage: "usage error"
    case .badData: "an image or a manifest is not valid"
    case .unavailable: "not available: QEMU, or a feature of the kernel or the file system"
    case .cannotCreate: "an output cannot be created"
    case .ioError: "I/O error"
    case .timedOut: "timed out (--timeout)"
    case .notPermitted: "not permitted"
    case .interrupted: "interrupted"
    }
  }

  /// The part of a command's help on these statuses, with what they mean for this command where that is special.
  static func help(
    _ special: [ExitStatus: String] = [:], besides: Set<ExitStatus> = []
  ) -> String {
    let lines = allCases.filter { !besides.contains($0) }.map { status in
      let number = String(status.rawValue)
      let padding = String(repeating: " ", count: 5 - number.count)
      return "\n  \(number)\(padding)\(special[status] ?? status.meaning)"
    }
    return "EXIT STATUS:" + lines.joined()
  }
}

extension CommandError {
  /// What programs are told of it.
  var details: ErrorDetails {
    switch self {
    case .image(let error, _): error.details
    case .vm(let error, _, _): error.details
    case .system(let error): error.details
    case .otherCommand(let path, _, _), .notForVM(_, let path), .manifestAndOptions(let path, _),
      .offsetWithPrefix(let path, _):
      ErrorDetails(.usage, path)
    case .noManifest(let path): ErrorDetails(.badPath, path)
    case .bench(let error): error.details
    case .notAPicture(let path): ErrorDetails(.cannotCreate, path)
    case .interrupted(let path, _): ErrorDetails(.interrupted, path)
    case .timedOut(_, let error): ErrorDetails(.timedOut, error.details.path)
    case .notABench(let path), .incomparable(let path, _): ErrorDetails(.badData, path)
    }
  }

  /// The system call behind it, if there is one, for those who want to know.
  var systemCallText: String? {
    details.systemCall.map { "System call: \($0.call.rawValue), errno \($0.errno.rawValue)" }
  }

  /// What was to be made: an image, or a directory.
  private var output: FilePath? {
    switch self {
    case .image(_, let output), .vm(_, let output, _): output
    default: nil
    }
  }

  /// Whether it is about what was to be made, or a file in that.
  fileprivate var isAboutOutput: Bool {
    guard let output, let path = details.path else { return false }
    return path.starts(with: output)
  }
}

extension ExitStatus {
  /// The status for `error`.
  init(_ error: CommandError) {
    self =
      switch error.details.kind {
      case .usage: .usage
      case .badData: .badData
      case .differs: .negative
      case .unavailable: .unavailable
      case .cannotCreate: .cannotCreate
      case .badPath: error.isAboutOutput ? .cannotCreate : .ioError
      case .wrongType: error.isAboutOutput ? .cannotCreate : .badData
      case .noSpace, .io: .ioError
      case .notPermitted: .notPermitted
      case .interrupted: .interrupted
      case .timedOut: .timedOut
      }
  }
}
