import LinuxIO
import MappedRAM
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
    case .negative: "the answer is no"
    case .incomplete: "the image is complete, but the VM may not be as it was to be"
    case .usage: "the command line is not right"
    case .badData: "the bytes of an image or a manifest are not right"
    case .unavailable: "something that is needed is not there"
    case .cannotCreate: "an output cannot be made"
    case .ioError: "reading or writing failed"
    case .notPermitted: "something is not permitted"
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
