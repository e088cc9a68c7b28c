import Foundation
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

  /// The processes that are watchdogs of the command, or have lost it.
  func watchdogs() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { number in
      guard Int32(number) != nil,
        let status = try? String(contentsOfFile: "/proc/\(number)/status", encoding: .utf8)
      else { return false }
      return status.hasPrefix("Name:\tram watchdog\n")
        && status.contains("\nPPid:\t\(processID)\n")
    }
  }
}
