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
