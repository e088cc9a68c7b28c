import Foundation
import SystemPackage
import TestSupport
import Testing

/// The options that mean the same in every command, of the built command.
@Suite struct CommonOptionTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let parts: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("microvm").unpack(into: directory)
    parts = directory.file("parts")
    try Tool.succeed(["unpack", "-q", image.string, parts.string])
  }

  private func object(_ text: some StringProtocol) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func quietLeavesErrorsAndResults() throws {
    let copy = directory.file("copy.img").string
    for mode in ["auto", "json"] {
      let quiet = try Tool.succeed(["pack", "-q", "--progress", mode, parts.string, copy])
      #expect(quiet.errors.isEmpty && quiet.output.isEmpty)
    }
    #expect(try !Tool.succeed(["pack", "--quiet", "--json", parts.string, copy]).output.isEmpty)
    let failed = try Tool.run(["pack", "-q", directory.file("none").string, copy])
    #expect(failed.status == 74 && failed.errors.hasPrefix("Error: "))
  }

  @Test func verboseTellsHowAndWhichCall() throws {
    let copy = directory.file("copy.img").string
    let lines = [false, true].map { isVerbose in
      try? Tool.succeed(["pack"] + (isVerbose ? ["-v"] : []) + [parts.string, copy]).errors
        .split(separator: "\n").count
    }
    #expect(lines[0] == 2 && lines[1] == 3)
    for verb in [["unpack", "/none", "/none2"], ["inspect", "/none"]] {
      let terse = try Tool.run(verb).errors
      #expect(terse == "Error: /none: cannot open: No such file or directory.\n", "\(terse)")
      let verbose = try Tool.run(verb + ["-v"]).errors
      #expect(verbose.hasPrefix(terse))
      #expect(verbose.hasSuffix("System call: open, errno 2\n"), "\(verbose)")
    }
  }

  /// As an interruption: nothing is left, and the status and the sentence say why.
  @Test func theTimeIsLimited() throws {
    let before = try directory.names()
    let target = directory.file("target").string
    let words = ["pack", "--device", "a=|sleep 1000", parts.string, target, "--timeout", "0.3"]
    let result = try Tool.run(words)
    #expect(result.status == 75)
    #expect(
      result.errors == "Error: Timed out after 0.300 s (--timeout); nothing was left behind.\n")
    #expect(try directory.names() == before)
    let told = try Tool.run(words + ["--json"])
    let error = try #require(try object(told.text)["error"] as? [String: Any])
    #expect(error["kind"] as? String == "timedOut")
    let inPlace = try Tool.run(words + ["--in-place", "--force"])
    #expect(inPlace.status == 73, "\(inPlace.errors)")
    #expect(try Tool.succeed(["pack", "--timeout", "1000", parts.string, target]).status == 0)
  }

  /// The time is over while a socket is waited for that nobody serves: programs are told as of any other failure.
  @Test func theTimeOfAnInspectionIsLimited() throws {
    let socket = directory.file("silent.qmp")
    let listener = try UnixListener(at: socket)
    let words = ["inspect", socket.string, "--timeout", "0.3"]
    let result = try Tool.run(words)
    #expect(result.status == 75)
    #expect(result.errors == "Error: Timed out after 0.300 s (--timeout).\n")
    let told = try Tool.run(words + ["--json", "--progress", "json"])
    #expect(told.status == 75)
    for text in [told.text, told.errors] {
      let error = try #require(try object(text)["error"] as? [String: Any], "\(text)")
      #expect(error["kind"] as? String == "timedOut")
    }
    withExtendedLifetime(listener) {}
  }

  /// The time is over while a reader of stdout has stalled: that ends the command all the same.
  @Test func theTimeIsOverWhileAReaderStalls() throws {
    let pipe = try FullPipe()
    let tool = try RunningTool(
      ["inspect", image.string, "--json", "--timeout", "0.5"], output: pipe.end)
    #expect(try tool.wait() == 75, "\(tool.errors)")
    #expect(tool.errors == "Error: Timed out after 0.500 s (--timeout).\n")
  }

  /// With --progress json all of stderr is JSON lines, whatever fails and when.
  @Test func errorsForProgramsAreJSONOnStderrToo() throws {
    let cut = directory.file("cut")
    try Subprocess.succeed(["sh", "-c", "head -c 1000 '\(image)' > '\(cut)'"])
    for (words, kind, status) in [
      (["inspect", "/none"], "badPath", 74), (["inspect", cut.string], "badData", 65),
      (["inspect", cut.string, "--json"], "badData", 65),
      (["inspect", image.string, "--pages-svg", cut.string], "cannotCreate", 73),
      (["unpack", "/none", "/none2"], "badPath", 74),
      (["save"], "usage", 64), (["seve", "--json"], "usage", 64),
      (["pack", "--channels", "0", "a", "b"], "usage", 64),
      (["restore", image.string, "--", "no-such-program"], "unavailable", 69),
    ] as [([String], String, Int)] {
      let words = [words[0], "--progress", "json"] + words.dropFirst()
      let result = try Tool.run(words)
      #expect(Int(result.status) == status, "\(words): \(result.errors)")
      let lines = result.errors.split(separator: "\n")
      let objects = try lines.map { try object($0) }.filter { $0["type"] as? String == "error" }
      #expect(!objects.isEmpty, "\(words)")
      for line in objects {
        #expect((line["error"] as? [String: Any])?["kind"] as? String == kind, "\(words)")
        #expect(line["status"] as? Int == status)
      }
    }
    let usage = try Tool.run(["seve", "--json"])
    #expect(usage.errors.hasPrefix("Error: There is no command 'seve'."))
    #expect(try object(usage.text)["status"] as? Int == 64)
  }

  @Test(arguments: ["0", "-1", "nan", "x", "1e10"])
  func aTimeThatIsNoneIsRefused(text: String) throws {
    #expect(try Tool.run(["inspect", image.string, "--timeout=\(text)"]).status == 64)
  }

  /// The second MiB has to wait for the first.
  @Test func theBandwidthIsLimited() throws {
    let start = ContinuousClock.now
    try Tool.succeed(["unpack", "--max-bandwidth", "1M", image.string, directory.file("a").string])
    let unpacked = ContinuousClock.now
    #expect(unpacked - start > .milliseconds(700))
    try Tool.succeed(
      ["pack", "--max-bandwidth", "1M", parts.string, directory.file("b").string])
    #expect(ContinuousClock.now - unpacked > .milliseconds(700))
    #expect(
      try Tool.run(["unpack", "--max-bandwidth", "1023K", image.string, "x"]).status == 64)
  }

  @Test(arguments: ["idle", "best-effort", "best-effort:0", "best-effort:7"])
  func anIOPriorityIsTaken(text: String) throws {
    try Tool.succeed(
      ["unpack", "--io-priority", text, image.string, directory.file("a").string])
  }

  @Test(arguments: ["realtime", "idle:1", "best-effort:8", "best-effort:", "best-effort:-1", ""])
  func anIOPriorityThatIsNoneIsRefused(text: String) throws {
    #expect(try Tool.run(["unpack", "--io-priority=\(text)", image.string, "x"]).status == 64)
  }

  /// Where JSON is asked for, a failure is JSON on stdout as well.
  @Test func aFailureForProgramsHasAKindAPathAndAnOffset() throws {
    let keys: Set<String> = ["kind", "message", "offset", "path", "reasons"]
    let cut = directory.file("cut")
    try Subprocess.succeed(["sh", "-c", "head -c 100 '\(image)' > '\(cut)'"])
    let damaged = try Tool.run(["unpack", "--json", cut.string, directory.file("x").string])
    let failure = try object(damaged.text)
    #expect(Set(failure.keys) == ["error", "schemaVersion", "status", "type"])
    #expect(failure["status"] as? Int == 65 && damaged.status == 65)
    let error = try #require(failure["error"] as? [String: Any])
    #expect(Set(error.keys) == keys)
    #expect(error["kind"] as? String == "badData" && error["path"] as? String == cut.string)
    #expect(error["offset"] is Int)
    let missing = try Tool.run(["inspect", "--json", "/none"])
    let other = try #require(try object(missing.text)["error"] as? [String: Any])
    #expect(Set(other.keys) == keys)
    #expect(other["kind"] as? String == "badPath" && other["offset"] is NSNull)
  }
}
