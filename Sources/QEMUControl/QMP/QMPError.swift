/// Why a QMP conversation failed.
public enum QMPError: Error, Equatable, Sendable {
  /// QEMU refused a command: its own class and text.
  case refused(command: String, errorClass: String, description: String)
}
