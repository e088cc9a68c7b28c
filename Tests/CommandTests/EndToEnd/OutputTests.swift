import Foundation
import SystemPackage
import TestSupport
import Testing

/// What the built command prints, and where.
@Suite struct OutputTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let parts: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("microvm").unpack(into: directory)
    parts = directory.file("parts")
  }

  private func object(_ bytes: [UInt8]) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
  }

  private var restoreArguments: [String] {
    ["unpack", image.string, parts.string]
  }

  @Test func aReportForPeopleGoesToStandardError() throws {
    let result = try Tool.succeed(restoreArguments)
    #expect(result.output.isEmpty)
    #expect(
      result.errors.hasPrefix("Unpacked \(image) to \(parts): 7 files\n  2.27 MiB of 4.07 MiB"))
  }

  @Test func aReportForProgramsGoesToStandardOutput() throws {
    let restored = try object(try Tool.succeed(restoreArguments + ["--json"]).output)
    #expect(restored["schemaVersion"] as? Int == 1)
    #expect(restored["command"] as? String == "unpack")
    #expect(restored["type"] as? String == "report")
    #expect((restored["files"] as? [String])?.last == "image.json")
    let transfer = try #require(restored["transfer"] as? [String: Any])
    #expect(transfer["presentBytes"] as? Int == 582 * 4096)
    #expect(
      Set(transfer.keys) == [
        "bufferedRequests", "bytesPerSecond", "bytesRead", "bytesWritten", "cpuSeconds",
        "cpuSecondsPerGiB", "directIO", "directRequests", "elapsedSeconds", "method", "notes",
        "peakMemoryBytes", "presentBytes", "ramBytes", "ramBytesPerSecond", "devices",
      ])
    let copy = directory.file("copy.img").string
    let saved = try object(
      try Tool.succeed(["pack", parts.string, copy, "--json"]).output)
    #expect(saved["command"] as? String == "pack")
    #expect(saved["machineType"] as? String == "microvm")
    #expect((saved["blocks"] as? [String])?.count == 5)
    #expect((saved["transfer"] as? [String: Any])?["presentBytes"] as? Int == 582 * 4096)
  }

  @Test func progressForProgramsMakesAllOfStandardErrorJSONLines() throws {
    let result = try Tool.succeed(restoreArguments + ["--progress", "json"])
    let types = try result.errors.split(separator: "\n").map { line in
      try #require(try object([UInt8](line.utf8))["type"] as? String)
    }
    #expect(types.first == "progress")
    #expect(types.last == "report")
    let failed = try Tool.run(
      ["unpack", "/dev/null", parts.string, "--progress", "json"])
    let last = try #require(failed.errors.split(separator: "\n").last)
    let error = try object([UInt8](last.utf8))
    #expect(error["type"] as? String == "error")
    #expect(error["status"] as? Int == 65)
    #expect(failed.status == 65)
  }

  @Test func withoutATerminalThereIsNoProgressLine() throws {
    #expect(try !Tool.succeed(restoreArguments).errors.contains("\r"))
  }

  /// What the command writes to a terminal of type `type`, in the time for some looks at the progress.
  private func onTerminal(_ type: String) throws -> String {
    let log = directory.file("log").string
    let command = "'\(Tool.path)' bench '\(directory.path)' --size 1G --repeat 1"
    let result = try Subprocess.run(
      ["script", "-qec", command, log], environment: ["TERM": type])
    #expect(result.status == 0)
    return String(decoding: try Data(contentsOf: URL(fileURLWithPath: log)), as: UTF8.self)
  }

  @Test(
    .enabled(if: (try? Subprocess.run(["script", "--version"]).status) == 0, "needs script(1)"))
  func onATerminalALineShowsProgressAndGoesAway() throws {
    let text = try onTerminal("xterm")
    #expect(
      text.contains(
        /\r\x{1b}\[K(save|restore) +[0-9]+%  [0-9.]+ [MG]iB of 1.00 GiB  [0-9.]+ GiB\/s  [0-9]+ s left/
      )
    )
    let report = try #require(text.range(of: "every byte came back"))
    #expect(text[..<report.lowerBound].contains("\r\u{1b}[KLinux "))
    #expect(try !onTerminal("dumb").contains("\u{1b}"))
  }

  /// The status of the command, whose standard output has no reader.
  private func statusWithoutReader(_ arguments: [String]) throws -> Int32 {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: Tool.path)
    process.arguments = arguments
    process.standardOutput = pipe.fileHandleForWriting
    process.standardError = FileHandle.nullDevice
    try pipe.fileHandleForReading.close()
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    return process.terminationStatus
  }

  @Test func aReaderThatHasGoneIsNoFailure() throws {
    #expect(try statusWithoutReader(restoreArguments + ["--json"]) == 0)
  }

  /// What has failed has failed, whoever reads of it.
  @Test func aFailureIsOneWithoutAReader() throws {
    let cut = directory.file("cut").string
    try Subprocess.succeed(["sh", "-c", "head -c 1000 '\(image)' > '\(cut)'"])
    #expect(try statusWithoutReader(["unpack", cut, parts.string, "--json"]) == 65)
    #expect(try statusWithoutReader(["inspect", cut, "--json"]) == 65)
    #expect(try statusWithoutReader(["unpack", "--json"]) == 64)
  }

  @Test func standardOutputThatCannotBeWrittenIsAFailure() throws {
    let result = try Subprocess.run(
      ["sh", "-c", "\"$0\" \"$@\" --json > /dev/full", Tool.path] + restoreArguments)
    #expect(result.status == 74)
    #expect(result.errors.contains("stdout: cannot write: No space left on device."))
  }

  @Test func helpAndVersionSucceed() throws {
    #expect(try Tool.succeed(["--version"]).text.hasPrefix("mapped-ram "))
    for command in [[], ["save"], ["restore"], ["pack"], ["unpack"], ["bench"]] {
      #expect(try Tool.succeed(command + ["--help"]).text.hasPrefix("OVERVIEW: "))
    }
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func completionScriptsAreThere(shell: String) throws {
    #expect(try !Tool.succeed(["--generate-completion-script", shell]).output.isEmpty)
  }
}
