import Foundation
import SystemPackage
import TestSupport
import Testing

/// The built command, run as a user would.
enum MappedRAMTool {
  /// The executable, which the build puts beside that of the tests.
  static let path: String = {
    let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: link).deletingLastPathComponent().appending(path: "mapped-ram").path
  }()
}

/// The command while it saves a VM.
final class RunningSave {
  private let process = Process()
  private let directory: TemporaryDirectory
  /// What stands before the command, such as `prlimit`.
  init(
    _ qemu: QEMU, to image: FilePath, _ options: [String] = [], prefix: [String] = []
  ) throws {
    directory = try TemporaryDirectory()
    _ = FileManager.default.createFile(atPath: directory.file("errors").string, contents: nil)
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      prefix + [MappedRAMTool.path, "save", "--qmp", qemu.qmpSocket.string, image.string] + options
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle(forWritingAtPath: directory.file("errors").string)
    try process.run()
  }

  /// Waits until `condition` holds, looking all the time.
  func wait(for what: String, until condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while try !condition() {
      try #require(process.isRunning, "it ended before \(what): \(errors)")
      try #require(ContinuousClock.now < deadline, "waited for \(what)")
    }
  }

  /// Sends it a signal.
  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Waits for its end. Gives its status, or 128 and the signal that ended it.
  func end() throws -> Int32 {
    let deadline = ContinuousClock.now + .seconds(60)
    while process.isRunning {
      try #require(ContinuousClock.now < deadline, "it does not end")
      Thread.sleep(forTimeInterval: 0.002)
    }
    process.waitUntilExit()
    return process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0)
  }

  /// All that it wrote to standard error.
  var errors: String {
    String(
      decoding: FileManager.default.contents(atPath: directory.file("errors").string) ?? Data(),
      as: UTF8.self)
  }

  deinit {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}
