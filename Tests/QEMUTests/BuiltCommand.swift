import Foundation
import SystemPackage
import TestSupport
import Testing

/// The built command while it runs, killed when the last reference goes.
final class BuiltCommand {
  /// The executable, which the build puts beside that of the tests.
  static let path: String = {
    let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: link).deletingLastPathComponent().appending(path: "mapped-ram").path
  }()

  /// Runs it to its end.
  static func run(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.run([path] + arguments)
  }

  /// Runs it to its end, which must be a success.
  @discardableResult
  static func succeed(_ arguments: [String]) throws -> Subprocess {
    try Subprocess.succeed([path] + arguments)
  }

  /// As `succeed`, for a command that leaves a program behind: that would inherit the descriptor by whose end Foundation's
  /// `Process` knows that the command has ended.
  static func succeedDetaching(_ arguments: [String]) throws -> Subprocess {
    // All but the first three: with hundreds of tests the number of what they have open has no small limit.
    let script = """
      for name in /proc/self/fd/*; do
        number=${name##*/}
        [ "$number" -le 2 ] || eval "exec $number>&-"
      done
      exec "$@"
      """
    return try Subprocess.succeed(["bash", "-c", script, "bash", path] + arguments)
  }

  private let process = Process()
  private let directory: TemporaryDirectory

  /// Starts it, with nothing on its standard input.
  ///
  /// - Parameter program: the command, behind one that starts it in some other way.
  init(program: [String] = [path], _ arguments: [String]) throws {
    directory = try TemporaryDirectory()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = program + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try Self.create(directory.file("output"))
    process.standardError = try Self.create(directory.file("errors"))
    try process.run()
  }

  /// The process's number.
  var processID: Int32 { process.processIdentifier }

  /// What it and its QEMU wrote to standard output so far.
  var output: String { text(of: directory.file("output")) }

  /// What it and its QEMU wrote to standard error so far.
  var errors: String { text(of: directory.file("errors")) }

  /// Sends it a signal.
  func send(_ signal: CInt) { kill(process.processIdentifier, signal) }

  /// Waits for its end. Gives its status, or 128 and the signal that ended it.
  func wait() throws -> Int32 {
    try waitUntil { !self.process.isRunning }
    process.waitUntilExit()
    return process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  private static func create(_ path: FilePath) throws -> FileHandle {
    try #require(FileManager.default.createFile(atPath: path.string, contents: nil))
    return try #require(FileHandle(forWritingAtPath: path.string))
  }
}

/// Waits until `condition` holds; fails after a minute.
func waitUntil(
  _ condition: () throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while try !condition() {
    try #require(ContinuousClock.now < deadline, sourceLocation: sourceLocation)
    Thread.sleep(forTimeInterval: 0.005)
  }
}
