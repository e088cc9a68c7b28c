import TestSupport
import Testing

/// All tests that start a stock QEMU: one after the other, so that no more than two run at a time.
@Suite(.enabled(if: QEMU.isAvailable, "needs QEMU >= 9.0: run Tests/install-qemu"), .serialized)
struct RealQEMU {
  /// Whether there is a QEMU for 64-bit Arm guests.
  static let hasArm: Bool =
    QEMU.isAvailable && (try? Subprocess.run(["qemu-system-aarch64", "--version"]).status) == 0
}
