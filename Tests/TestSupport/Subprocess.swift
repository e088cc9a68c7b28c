import Foundation
import SystemPackage

/// What a program that has ended left.
package struct Subprocess: Sendable {
  /// The exit status; for a program that a signal ended, 128 + the signal's number.
  package var status: Int32
  /// All that it wrote to standard output.
  package var output: [UInt8]
  /// All that it wrote to standard error, as text.
  package var errors: String

  /// Standard output as text.
  package var text: String { String(decoding: output, as: UTF8.self) }

  /// Runs `arguments[0]`, found in PATH, to its end.
  ///
  /// Standard input is empty. Both outputs go through files, so a program can write as much as it
  /// likes.
  /// - Parameters:
  ///   - arguments: the program and its arguments.
  ///   - environment: variables to add or replace.
  ///   - seconds: after this time the program and what it has started are killed.
  /// - Throws: `HarnessError` if it cannot be started or takes too long, not at any exit status.
  package static func run(
    _ arguments: [String], environment: [String: String] = [:], seconds: Double = 120
  ) throws -> Subprocess {
    let directory = try TemporaryDirectory()
    let outputFile = try create(directory.file("output"))
    let errorFile = try create(directory.file("errors"))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = outputFile
    process.standardError = errorFile
    do {
      try process.run()
    } catch {
      throw HarnessError("\(arguments) did not start: \(error)")
    }
    let deadline = ContinuousClock.now + .seconds(seconds)
    while process.isRunning {
      if ContinuousClock.now > deadline {
        // Its group, which Foundation makes: what it has started keeps open by what Foundation sees its end.
        kill(-process.processIdentifier, SIGKILL)
        throw HarnessError("\(arguments) took more than \(seconds) s")
      }
      Thread.sleep(forTimeInterval: 0.002)
    }
    return Subprocess(
      status: process.shellStatus,
      output: [UInt8](try readAll(directory.file("output"))),
      errors: String(decoding: try readAll(directory.file("errors")), as: UTF8.self))
  }

  /// As `run`, and the program must end with status 0.
  @discardableResult
  package static func succeed(_ arguments: [String], seconds: Double = 120) throws -> Subprocess {
    let result = try run(arguments, seconds: seconds)
    guard result.status == 0 else {
      throw HarnessError("\(arguments) ended with \(result.status): \(result.errors)")
    }
    return result
  }

  /// Makes the empty file `path`, open for writing.
  static func create(_ path: FilePath) throws -> FileHandle {
    guard FileManager.default.createFile(atPath: path.string, contents: nil),
      let handle = FileHandle(forWritingAtPath: path.string)
    else { throw HarnessError("\(path) cannot be made") }
    return handle
  }

  private static func readAll(_ path: FilePath) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path.string))
  }
}

extension Process {
  /// The status of a process that has ended; 128 and the signal's number where one ended it.
  var shellStatus: Int32 {
    waitUntilExit()
    return terminationStatus + (terminationReason == .uncaughtSignal ? 128 : 0)
  }
}
