import Foundation
import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// The built command, run as a user would.
enum Tool {
  /// The executable, which the build puts beside that of the tests.
  static let path: String = {
    let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: link).deletingLastPathComponent().appending(path: "mapped-ram").path
  }()

  /// Runs it to its end.
  static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Subprocess {
    try Subprocess.run([path] + arguments, environment: environment)
  }

  /// Runs it to its end, which must be a success.
  @discardableResult
  static func succeed(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.succeed([path] + arguments)
  }
}

/// The command while it runs.
final class RunningTool {
  private let process = Process()
  private let directory: TemporaryDirectory
  private let errors: FilePath

  /// Starts it, with progress as JSON lines.
  init(_ arguments: [String]) throws {
    directory = try TemporaryDirectory()
    errors = directory.file("errors")
    _ = FileManager.default.createFile(atPath: errors.string, contents: nil)
    process.executableURL = URL(fileURLWithPath: Tool.path)
    process.arguments = arguments + ["--progress", "json"]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle(forWritingAtPath: errors.string)
    try process.run()
  }

  /// Waits until its progress says that bytes of pages have been dealt with.
  func waitUntilBusy() throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while try !text().contains(/"doneBytes":[1-9]/) {
      let said = try text()
      try #require(process.isRunning, "it ended: \(said)")
      try #require(ContinuousClock.now < deadline)
      Thread.sleep(forTimeInterval: 0.01)
    }
  }

  /// Sends it a signal.
  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for its end. Gives its status, or 128 and the signal that ended it.
  ///
  /// - Throws: where it goes on for a minute.
  func wait() throws -> Int32 {
    let deadline = ContinuousClock.now + .seconds(60)
    while process.isRunning {
      try #require(ContinuousClock.now < deadline, "it does not end")
      Thread.sleep(forTimeInterval: 0.002)
    }
    process.waitUntilExit()
    return process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
  }

  /// All that it wrote to standard error.
  func text() throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: errors.string)), as: UTF8.self)
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

extension TemporaryDirectory {
  /// The names of all that is in it, hidden files as well.
  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
  }
}
