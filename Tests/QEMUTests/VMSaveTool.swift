import SystemPackage
import TestSupport

extension RunningTool {
  /// Starts the command to save the VM of `qemu`.
  ///
  /// - Parameter prefix: what stands before the command, such as `prlimit`.
  convenience init(
    saving qemu: QEMU, to image: FilePath, _ options: [String] = [], prefix: [String] = []
  ) throws {
    try self.init(
      prefix: prefix,
      ["save", qemu.qmpSocket.string, image.string] + options)
  }
}
