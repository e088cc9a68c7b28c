import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands

/// What is said of verbs that do not exist, and of forms that the verbs once had.
@Suite struct CommandLineTests {
  @Test(arguments: [
    ("inspct q35.img", "There is no command 'inspct'. Did you mean 'inspect'?"),
    ("packs d x.img", "There is no command 'packs'. Did you mean 'pack'?"),
    ("help restor", "There is no command 'restor'. Did you mean 'restore'?"),
    (
      "help nosuch",
      "There is no command 'nosuch'. There are: save, restore, inspect, unpack, pack, verify, seal, repair, diff, compact, bench."
    ),
  ])
  func aWrongVerbIsToldWithTheRightOne(line: String, message: String) {
    #expect(complaint(line) == message)
  }

  @Test func aMisspeltOptionIsToldWithTheRightOne() {
    #expect(
      complaint("save s x.img --enigne qemu")
        == "Unknown option '--enigne'. Did you mean '--engine'?")
  }

  @Test(arguments: [
    ("save --qmp /run/vm.qmp --then quit vm.img", "save /run/vm.qmp --then quit vm.img"),
    ("save vm.img --qmp=/run/vm.qmp", "save /run/vm.qmp vm.img"),
    (
      "save --qmp s --live --max-pause 100 --when-stuck=fail vm.img",
      "save s --live --max-downtime 100 --if-not-converging=fail vm.img"
    ),
    ("save s vm.img --live --when-stuck pause", "save s vm.img --live --if-not-converging pause"),
    ("save --from-directory vm vm.img", "pack vm vm.img"),
    (
      "save --from-directory raw --machine pc --vmstate v --block a=b vm.img",
      "pack raw --machine pc --vmstate v --block a=b vm.img"
    ),
    (
      "save --machine pc --vmstate v --block a=b vm.img",
      "pack . --machine pc --vmstate v --block a=b vm.img"
    ),
    ("restore vm.img --qmp s", "restore vm.img s"),
    ("restore --qmp s --engine map vm.img", "restore --engine map vm.img s"),
    ("restore vm.img --to-directory vm --block pc.ram", "unpack vm.img --block pc.ram vm"),
    ("inspect --qmp s --json", "inspect s --json"),
  ])
  func anOldFormIsAnsweredByTheNewOne(line: String, new: String) {
    #expect(complaint(line) == "This is an old form of the command. Type: mapped-ram \(new)")
    // It is one that the parser takes.
    #expect(complaint(new) == nil)
  }

  @Test func whatFollowsTheTwoDashesIsNoOldForm() {
    #expect(complaint("restore vm.img -- qemu --qmp s --max-pause 1") == nil)
  }

  @Test func aLineToTypeIsOneThatTheShellReadsBack() {
    #expect(CommandLine.text(["a", "b c", "", "it's", "|x"]) == "a 'b c' '' 'it'\\''s' '|x'")
  }

  /// One line, a hint, and the status.
  @Test func aUsageErrorIsOneLine() throws {
    for (words, verb) in [(["save", "--bad"], " save"), (["nosuch"], "")] {
      let result = try Tool.run(words)
      #expect(result.status == 64)
      let lines = result.errors.split(separator: "\n")
      #expect(lines.count == 2 && lines[0].hasPrefix("Error: "), "\(result.errors)")
      #expect(lines[1] == "  See 'mapped-ram\(verb) --help'.")
    }
  }

  /// Where the source stands in the target's place, or belongs to another verb, that is said with the line to type.
  @Test func whatIsForAnotherVerbIsToldWithIt() throws {
    let directory = try TemporaryDirectory()
    let listener = try UnixListener(at: directory.file("qmp"))
    let socket = listener.path.string
    let image = try Fixture("microvm").unpack(into: directory).string
    let place = directory.path.string
    for (words, new) in [
      (["save", place, image], "pack \(place) \(image)"),
      (["save", image, socket], "save \(socket) \(image)"),
      (["restore", image, place], "unpack \(image) \(place)"),
      (["restore", socket, image], "restore \(image) \(socket)"),
      (["pack", socket, image], "save \(socket) \(image)"),
      (["pack", image, place], "unpack \(image) \(place)"),
    ] {
      let result = try Tool.run(words)
      #expect(result.status == 64)
      #expect(result.errors.hasSuffix(" Type: mapped-ram \(new)\n"), "\(result.errors)")
    }
  }
}
