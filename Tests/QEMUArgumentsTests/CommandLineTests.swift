import TestSupport
import Testing

@testable import QEMUArguments

@Suite struct CommandLineTests {
  @Test(arguments: [
    "qemu", "qemu disk.img", "qemu -m 1G", "qemu --m 1G -S --nographic disk",
    "qemu -append -quiet -S", "qemu -nosuch -S", "qemu -nosuch value word -S", "qemu - -- -S",
    "qemu -device {\"driver\":\"VGA\"} -object a,b=c,,d",
  ]) func wordsComeBack(text: String) throws {
    let words = text.split(separator: " ").map(String.init)
    let line = try QEMUCommandLine(parsing: words)
    #expect([line.program] + line.words == words)
  }

  @Test func randomWordsComeBack() throws {
    var random = SeededGenerator()
    let pieces = ["-m", "--m", "-S", "", "-", "--", "a", "-append", "-x", "1,,2", "-M", "q35", "é"]
    for _ in 0..<500 {
      let words =
        ["qemu"]
        + (0..<Int.random(in: 0...8, using: &random)).map { _ in
          pieces.randomElement(using: &random) ?? ""
        }
      do {
        let line = try QEMUCommandLine(parsing: words)
        #expect([line.program] + line.words == words)
      } catch {
        #expect(error == .missingValue(option: words.last ?? ""))
      }
    }
  }

  /// QEMU looks at bytes; to Swift a sign and a combining character behind it are one character.
  @Test func signsBeforeCombiningCharactersAreSigns() throws {
    let line = try line("-\u{301}x -object memory-backend-ram,id=\u{301},size=16M")
    #expect(line.options.map(\.name) == ["\u{301}x", "object"])
    #expect(try line.memoryBackends().map(\.id) == ["\u{301}"])
    #expect(QEMUProperties("{\u{301}", impliedKey: "k") == nil)
  }

  /// What was a key with a comma in it is still one key when it is written.
  @Test(arguments: ["user,a,,b", "a,,b=c", "a=b,c,,d=e", "a=,,", "a,b,"])
  func propertiesAreReadAsTheyWereWritten(text: String) throws {
    let properties = try #require(QEMUProperties(text, impliedKey: "type"))
    #expect(QEMUProperties(properties.text, impliedKey: "x") == properties)
  }

  @Test func optionsWithOneAndTwoDashesAreTheSame() throws {
    let line = try line("--m 64 -M pc --machine usb=off -S")
    #expect(line.memoryByteCount == 64 << 20)
    #expect(line.machineType == "pc")
    #expect(line.values(of: "machine") == ["pc", "usb=off"])
    #expect(line.startsPaused)
  }

  @Test func valueThatLooksLikeAnOptionIsAValue() throws {
    let line = try line("-append -S -m 1G")
    #expect(!line.startsPaused)
    #expect(line.values(of: "append") == ["-S"])
  }

  @Test func unknownOptionHasTheNextWordUnlessItBeginsWithADash() throws {
    let line = try line("-new 1 -newer -S")
    #expect(line.values(of: "new") == ["1"])
    #expect(line.startsPaused)
  }

  @Test func emptyLinesAndMissingValuesAreRefused() {
    #expect(throws: LaunchRefusal.noProgram) { try QEMUCommandLine(parsing: []) }
    #expect(throws: LaunchRefusal.noProgram) { try QEMUCommandLine(parsing: [""]) }
    #expect(throws: LaunchRefusal.missingValue(option: "-m")) { try line("-S -m") }
    #expect(throws: LaunchRefusal.missingValue(option: "--object")) { try line("--object") }
  }

  @Test(
    arguments: [
      ("-m 16", 16 << 20), ("-m 16M", 16 << 20), ("-m 16m", 16 << 20), ("-m 1G", 1 << 30),
      ("-m 0.25G", 256 << 20), ("-m size=1T,slots=2", 1 << 40), ("-m slots=2,size=2K", 8192),
      ("-m 8191b", 8192), ("-m 8192b", 8192), ("-m 8193b", 16384), ("-m 1E", 1 << 60),
      ("-m 16 -m slots=1,maxmem=1G", 16 << 20), ("-m 16 -m 24", 24 << 20), ("-m 0", 0),
      ("", nil), ("-m slots=2,maxmem=1G", nil), ("-m 1X", nil), ("-m 0x10", nil), ("-m 16.5", nil),
      ("-m 16EB", nil), ("-m 16E", nil), ("-m size=", nil), ("-m -1", nil),
      ("-m 18446744073709551615b", nil),
    ] as [(String, UInt64?)]) func memorySize(text: String, bytes: UInt64?) throws
  {
    #expect(try line(text).memoryByteCount == bytes)
  }

  @Test(arguments: [
    ("incoming", "-incoming tcp:0:1"), ("incoming", "-incoming defer"),
    ("daemonize", "-daemonize"), ("preconfig", "--preconfig"), ("loadvm", "-loadvm a"),
  ]) func optionsThatDoNotGoWithARestoreAreRefused(name: String, text: String) throws {
    var line = try line(text)
    let before = line
    let conflict = try #require(LaunchRefusal.Conflict(rawValue: name))
    #expect(throws: LaunchRefusal.conflict(conflict)) { try line.prepareForRestore() }
    #expect(line == before)
    #expect(LaunchRefusal.conflict(conflict).description.contains("remove it"))
  }

  @Test func restoreWaitsForTheImageAndIsPausedOnce() throws {
    var line = try line("-m 1G")
    try line.prepareForRestore()
    #expect(line.words == ["-m", "1G", "-incoming", "defer", "-S"])
    var paused = try self.line("-S")
    try paused.prepareForRestore()
    #expect(paused.words == ["-S", "-incoming", "defer"])
    var running = try self.line("")
    try running.prepareForRestore(isPaused: false)
    #expect(running.words == ["-incoming", "defer"])
  }

  private func line(_ text: String) throws(LaunchRefusal) -> QEMUCommandLine {
    try QEMUCommandLine(parsing: ["qemu"] + text.split(separator: " ").map(String.init))
  }
}
