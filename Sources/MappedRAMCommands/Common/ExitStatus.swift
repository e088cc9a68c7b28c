import LinuxIO
import MappedRAM
import SystemPackage

/// How the command ends: the one place where that is decided. The numbers are those of sysexits.h where it has one.
enum ExitStatus: Int32, CaseIterable, Sendable {
  /// Done.
  case success = 0
  /// The answer is no.
  case negative = 1
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
