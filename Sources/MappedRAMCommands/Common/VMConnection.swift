import Glibc
import MappedRAM
import QEMUControl
import QMP
import SystemPackage

/// The connection to a QEMU that runs already.
enum VMConnection {
  /// Connects to the QMP socket at `path`, unless that is cancelled.
  static func open(
    _ path: FilePath, _ cancellation: Cancellation = Cancellation()
  ) throws(VMError) -> QMPConnection {
    try VMError.asking { () throws(QMPError) in
      try QMPConnection(connecting: path, isCancelled: { cancellation.isCancelled })
    }
  }
}

extension FilePath {
  /// The path from the root: QEMU has another working directory than this command.
  var absolute: FilePath {
    isAbsolute ? self : FilePath(CurrentDirectory.path).pushing(self)
  }
}

/// This process's working directory.
enum CurrentDirectory {
  /// Its path; `/` where it is gone.
  static var path: String {
    // SAFETY: getcwd allocates what it gives, and that is freed here.
    guard let text = unsafe getcwd(nil, 0) else { return "/" }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}
