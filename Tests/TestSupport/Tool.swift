import Foundation

/// The built command, run as a user would.
package enum Tool {
  /// The executable, which the build puts beside that of the tests.
  package static let path: String = {
    let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: link).deletingLastPathComponent().appending(path: "mapped-ram").path
  }()

  /// Runs it to its end.
  package static func run(
    _ arguments: [String], environment: [String: String] = [:]
  ) throws -> Subprocess {
    try Subprocess.run([path] + arguments, environment: environment)
  }

  /// Runs it to its end, which must be a success.
  @discardableResult
  package static func succeed(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.succeed([path] + arguments)
  }

  /// As `succeed`, for a command that leaves a program behind: that would inherit the descriptor by whose end Foundation's
  /// `Process` knows that the command has ended.
  package static func succeedDetaching(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.succeed(detaching + arguments)
  }

  /// As `succeedDetaching`, for a command that may fail.
  package static func runDetaching(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.run(detaching + arguments)
  }

  /// The command, which Python's subprocess has inherit the three standard descriptors and no other.
  private static var detaching: [String] {
    let script = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    return ["python3", "-c", script, path]
  }
}
