import Foundation
package import SystemPackage

/// The guest of `Tests/Guest/arm.s`: what `BootSectorGuest` is, without churn, for QEMU's Arm machine
/// `virt`.
///
/// It prints the same lines: `BootSectorGuest.lines` reads them.
package struct ArmGuest: Sendable {
  /// The first address past the pattern; a multiple of 4096.
  package var end: UInt32
  /// Pages whose number & mask is 0 stay zero.
  package var mask: UInt32
  /// Each word of the pattern is its address ^ seed.
  package var seed: UInt32

  /// Where RAM begins.
  package static let memory: UInt32 = 0x4000_0000
  /// Where the guest itself stands: past the device tree that QEMU makes.
  package static let code: UInt32 = 0x4010_0000
  /// Where the pattern begins.
  package static let start: UInt32 = 0x4020_0000

  /// A guest that fills RAM up to `end`.
  package init(end: UInt32, mask: UInt32 = 7, seed: UInt32 = 0) {
    precondition(end % 4096 == 0 && end > Self.start)
    self.end = end
    self.mask = mask
    self.seed = seed
  }

  /// Writes the guest's 236 bytes.
  package func write(to path: FilePath) throws {
    let source = URL(fileURLWithPath: Repository.file("Tests/Guest/arm.bin").string)
    var code = [UInt8](try Data(contentsOf: source))
    for (index, value) in [end, mask, seed, Self.start].enumerated() {
      for byte in 0..<4 {
        code[16 + 4 * index + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      }
    }
    try Data(code).write(to: URL(fileURLWithPath: path.string))
  }

  /// A `virt` of `mebibytes` that runs the guest, whose code is written into `directory`.
  package func configuration(
    mebibytes: Int, in directory: TemporaryDirectory
  ) throws -> QEMU.Configuration {
    let code = directory.file("arm.bin")
    try write(to: code)
    var configuration = QEMU.Configuration()
    configuration.program = "qemu-system-aarch64"
    configuration.machine = "virt"
    configuration.mebibytes = mebibytes
    configuration.arguments = [
      "-cpu", "cortex-a57", "-device",
      "loader,file=\(code),addr=\(Self.code),force-raw=on,cpu-num=0",
    ]
    return configuration
  }

  /// The sum that each line must show.
  package var sum: UInt32 {
    BootSectorGuest.sum(Self.start..<end) { $0 >> 12 & mask == 0 ? 0 : $0 ^ seed }
  }
}
