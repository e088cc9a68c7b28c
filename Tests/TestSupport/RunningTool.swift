package import Foundation
import LinuxIO
import SystemPackage

/// The built command while it runs, killed when the last reference goes.
package final class RunningTool {
  private let process = Process()
  private let directory: TemporaryDirectory

  /// Starts it, with nothing on its standard input.
  ///
  /// - Parameters:
  ///   - prefix: what stands before the command, such as `prlimit`, and becomes it.
  ///   - output: its standard output, if it is not to be kept for `output`.
  ///   - errors: its standard error, if it is not to be kept for `errors`.
  package init(
    prefix: [String] = [], _ arguments: [String], output: FileHandle? = nil,
    errors: FileHandle? = nil
  ) throws {
    directory = try TemporaryDirectory()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = prefix + [Tool.path] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try output ?? Subprocess.create(directory.file("output"))
    process.standardError = try errors ?? Subprocess.create(directory.file("errors"))
    try process.run()
  }

  /// Whether it has not ended yet.
  package var isRunning: Bool { process.isRunning }

  /// The process's number.
  package var processID: Int32 { process.processIdentifier }

  /// What it and its QEMU wrote to standard output so far.
  package var output: String { text("output") }

  /// What it and its QEMU wrote to standard error so far.
  package var errors: String { text("errors") }

  /// Whether its first thread blocks a signal, as the command does with those that it listens to.
  package func blocks(_ signal: CInt) throws -> Bool { try has(signal, in: "SigBlk") }

  /// Whether a signal that it was sent waits for a thread that takes it.
  package func holdsBack(_ signal: CInt) throws -> Bool { try has(signal, in: "ShdPnd") }

  /// The names of its threads.
  package func threads() throws -> [String] {
    let directory = "/proc/\(processID)/task"
    return try FileManager.default.contentsOfDirectory(atPath: directory).map { number in
      let name = FileManager.default.contents(atPath: "\(directory)/\(number)/comm") ?? Data()
      return String(decoding: name, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
  }

  /// The number of the system call that its first thread waits in; `nil` while it waits in none.
  package func systemCall() throws -> Int? {
    let path = "/proc/\(processID)/task/\(processID)/syscall"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    return text.split(separator: " ").first.flatMap { Int($0) }
  }

  /// Whether the line `name` of its status has the bit of `signal`.
  private func has(_ signal: CInt, in name: String) throws -> Bool {
    let status = try String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
      let mask = UInt64(
        line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces), radix: 16)
    else { throw HarnessError("no \(name) in \(status)") }
    return mask >> UInt64(signal - 1) & 1 == 1
  }

  /// Sends it a signal.
  package func send(_ signal: CInt) { kill(process.processIdentifier, signal) }

  /// Waits until `condition` holds, asking it every `pause`.
  ///
  /// - Throws: `HarnessError` after five minutes, or where the command ends first.
  package func wait(
    for what: String, every pause: Duration = .milliseconds(1), until condition: () throws -> Bool
  ) throws {
    let deadline = ContinuousClock.now + .seconds(300)
    while try !condition() {
      guard process.isRunning else {
        throw HarnessError("it ended before \(what): \(errors)")
      }
      guard ContinuousClock.now < deadline else {
        throw HarnessError("waited for \(what): \(errors)")
      }
      sleep(for: pause)
    }
  }

  /// Waits for its end. Gives its status, or 128 and the signal that ended it.
  ///
  /// - Throws: `HarnessError` where it has not ended after five minutes.
  package func wait() throws -> Int32 {
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning {
      guard ContinuousClock.now < deadline else { throw HarnessError("it does not end: \(errors)") }
      sleep(for: .milliseconds(2))
    }
    return process.shellStatus
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  private func text(_ name: String) -> String {
    String(
      decoding: FileManager.default.contents(atPath: directory.file(name).string) ?? Data(),
      as: UTF8.self)
  }
}
