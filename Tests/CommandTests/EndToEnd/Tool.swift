import Foundation
import SystemPackage
import TestSupport

extension RunningTool {
  /// Starts the command with progress as JSON lines, and waits until that says that bytes of pages have been dealt with.
  static func busy(prefix: [String] = [], _ arguments: [String]) throws -> RunningTool {
    let tool = try RunningTool(prefix: prefix, arguments + ["--progress", "json"])
    try tool.wait(for: "its first pages", every: .milliseconds(10)) {
      tool.errors.contains(/"doneBytes":[1-9]/)
    }
    return tool
  }
}

extension TemporaryDirectory {
  /// The names of all that is in it, hidden files as well.
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
  }
}
