import QEMUControl
import QMP
import SystemPackage

/// The connection to a QEMU that runs already.
enum VMConnection {
  /// Connects to the QMP socket at `path`.
  static func open(_ path: FilePath) throws(VMError) -> QMPConnection {
    do throws(QMPError) {
      return try QMPConnection(connecting: path)
    } catch {
      throw .qmp(error)
    }
  }
}
