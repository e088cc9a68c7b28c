import ArgumentParser
import QEMUControl
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands

/// The options about VMs: which go together, and what is said where they do not.
@Suite struct VMArgumentTests {
  @Test(arguments: [
    "", "--engine auto", "--engine capture", "--engine qemu", "--then resume", "--then pause",
    "--then quit", "--snapshot-disks d", "--snapshot-disks d --then resume", "--pid 1",
    "--in-place", "--channels 2", "--json", "--progress json", "--layout 1M", "--layout 2M",
    "--layout 2M --engine capture", "--base old.img", "--base x.img --live",
    "--layout 1M --engine qemu",
  ])
  func aSaveOfAVMTakes(options: String) {
    #expect(complaint("save s x.img \(options)") == nil)
  }

  @Test(arguments: [
    "--engine capture", "--then quit", "--snapshot-disks d", "--pid 1", "--managed-by-libvirt",
  ])
  func anImageOfFilesKnowsNoVM(option: String) throws {
    let name = option.split(separator: " ")[0]
    let found = try #require(complaint("pack d x.img \(option)"))
    #expect(found.hasPrefix("Unknown option '\(name)'"))
  }

  @Test func aBaseIsForACaptureIntoANewFile() {
    #expect(
      complaint("save s x.img --base old.img --engine qemu")
        == "--base is not for --engine qemu: QEMU writes all pages.")
    #expect(
      complaint("save s x.img --base old.img --no-checksums")
        == "--base goes by checksums: leave --no-checksums out.")
    #expect(
      complaint("save s x.img --base old.img --in-place")
        == "--base is for a new file: leave --in-place out.")
  }

  /// QEMU writes its own layout alone; packing writes both.
  @Test func aLayoutIsOneOfThoseThatTheEngineWrites() throws {
    #expect(
      complaint("save s x.img --layout 2M --engine qemu")
        == "--layout 2M is not for --engine qemu: QEMU writes only the layout 1M.")
    for layout in ["1M", "2M"] { #expect(complaint("pack d x.img --layout \(layout)") == nil) }
    for command in ["save s x.img", "pack d x.img"] {
      let said = try #require(complaint("\(command) --layout 4M"))
      #expect(said.hasPrefix("The value '4M' is invalid for '--layout"))
    }
  }

  @Test func aVMThatEndsNeedsNoSnapshots() {
    #expect(
      complaint("save s x.img --snapshot-disks d --then quit")
        == "--snapshot-disks is for a VM that is resumed or saved live; with --then quit nothing writes to the disks any more."
    )
    #expect(complaint("save s x.img --snapshot-disks d --then quit --live") == nil)
  }

  @Test(arguments: [
    ("--engine fast", "--engine"), ("--then sleep", "--then"), ("--pid x", "--pid"),
  ])
  func valuesThatDoNotExistAreRefused(option: String, name: String) throws {
    let said = try #require(complaint("save s x.img \(option)"))
    #expect(
      said.hasPrefix("The value '\(option.split(separator: " ")[1])' is invalid for '\(name)"))
  }

  @Test(arguments: [
    "s", "s --engine map", "s --pid 7 --then pause", "-- qemu",
    "--engine place -- qemu -m 4G", "--detach -- qemu", "--detach --socket s --log l -- qemu",
    "--clone-disks d -- qemu", "--clone-disks d --engine map --detach -- qemu",
    "--offset 4096 -- qemu", "--then resume --json -- qemu --json",
  ])
  func aRestoreIntoAVMTakes(options: String) {
    #expect(complaint("restore x.img \(options)") == nil)
  }

  @Test func whatFollowsTheTwoDashesIsQEMUs() throws {
    let command = try #require(
      try MappedRAMCommand.parseAsRoot([
        "restore", "x.img", "--engine", "map", "--", "qemu", "--engine", "x", "--", "-m",
      ]) as? RestoreCommand)
    #expect(command.command == ["qemu", "--engine", "x", "--", "-m"])
    #expect(command.machine.engine == .map)
  }

  @Test(arguments: [
    ("s -- qemu", "Give either a socket (s), or a QEMU to start behind --, not both."),
    (
      "s --detach", "--detach is for a QEMU that this command starts: give it behind --."
    ),
    (
      "s --detach --socket t", "--detach is for a QEMU that this command starts: give it behind --."
    ),
    ("s --log l", "--socket and --log are for --detach."),
    ("--socket t -- qemu", "--socket and --log are for --detach."),
    ("--log l -- qemu", "--socket and --log are for --detach."),
    ("--block a s", "Unknown option '--block'. Did you mean '--log'?"),
  ])
  func aRestoreRefuses(options: String, message: String) {
    #expect(complaint("restore x.img \(options)") == message)
  }

  @Test(arguments: ["x.img", "s", "s --json", "s --pid 3", "x.img --pages"])
  func anInspectionTakes(options: String) {
    #expect(complaint("inspect \(options)") == nil)
  }

  /// Where the subject is a socket, what is for images alone is refused before anybody is connected to.
  @Test(arguments: ["--sections", "--devices", "--pages", "--pages-svg f", "--offset 0"])
  func anInspectionOfAVMRefuses(options: String) throws {
    let directory = try TemporaryDirectory()
    let listener = try UnixListener(at: directory.file("qmp"))
    let words = options.split(separator: " ").map(String.init)
    let command = try #require(
      try InspectCommand.parseAsRoot([listener.path.string] + words) as? InspectCommand)
    var complaints: [String] = []
    let status = command.perform(
      width: 80, output: { _ in }, complain: { line, _ in complaints.append(line.error.message) })
    #expect(status == .usage)
    #expect(
      complaints == [
        "\(words[0]) is for an image, and \(listener.path) is the socket of a running VM."
      ])
  }

  @Test func theSocketIsWhereQEMUCanMakeIt() throws {
    let directory = try TemporaryDirectory()
    let (file, long) = (directory.file("file"), directory.file(String(repeating: "d", count: 90)))
    try Subprocess.succeed(["touch", file.string])
    try Subprocess.succeed(["mkdir", long.string])
    func place(_ runtime: String?) -> FilePath {
      RestoreMachine.newSocket(in: runtime).removingLastComponent()
    }
    #expect(place(directory.path.string) == directory.path)
    for other in [nil, "", "relative", "/no/such/directory", file.string, long.string] {
      #expect(place(other) == "/tmp", "\(other ?? "none")")
    }
  }
}
