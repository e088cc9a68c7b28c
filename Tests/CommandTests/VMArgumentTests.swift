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
    "--in-place", "--channels 2", "--json", "--progress json",
  ])
  func aSaveOfAVMTakes(options: String) {
    #expect(complaint("save --qmp s x.img \(options)") == nil)
  }

  @Test(arguments: [
    ("--from-directory d", "--from-directory"), ("--block a=b", "--block"),
    ("--machine pc", "--machine"), ("--vmstate v", "--vmstate"),
    ("--page-size 4K", "--page-size"), ("--offset 4K", "--offset"),
  ])
  func aSaveIsOfAVMOrOfFiles(option: String, name: String) {
    let handmade = "--machine pc --vmstate v --block a=b"
    // Options of images by hand are asked for their fellows first.
    let rest = ["--from-directory", "--offset"].contains(name) ? "" : handmade
    let all = option == "--page-size 4K" ? "\(option) \(rest)" : rest.isEmpty ? option : rest
    let first = rest.isEmpty ? name : "--block"
    #expect(
      complaint("save --qmp s x.img \(all)")
        == "\(first) is for an image from files, and --qmp for a running VM.")
  }

  @Test(arguments: [
    "--engine capture", "--then quit", "--snapshot-disks d", "--pid 1",
  ])
  func withoutAVMItsOptionsMeanNothing(option: String) {
    let name = option.split(separator: " ")[0]
    #expect(
      complaint("save --from-directory d x.img \(option)")
        == "\(name) is for a running VM: give the socket of its QEMU's QMP with --qmp as well.")
  }

  @Test func aVMThatEndsNeedsNoSnapshots() {
    #expect(
      complaint("save --qmp s x.img --snapshot-disks d --then quit")
        == "--snapshot-disks is for a VM that goes on; with --then quit nothing writes to the disks any more."
    )
  }

  @Test(arguments: [
    ("--engine fast", "--engine"), ("--then sleep", "--then"), ("--pid x", "--pid"),
  ])
  func valuesThatDoNotExistAreRefused(option: String, name: String) throws {
    let said = try #require(complaint("save --qmp s x.img \(option)"))
    #expect(
      said.hasPrefix("The value '\(option.split(separator: " ")[1])' is invalid for '\(name)"))
  }

  @Test(arguments: [
    "--qmp s", "--qmp s --engine map", "--qmp s --pid 7 --then pause", "-- qemu",
    "--engine place -- qemu -m 4G", "--detach -- qemu", "--detach --socket s --log l -- qemu",
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
    #expect(command.machine.command == ["qemu", "--engine", "x", "--", "-m"])
    #expect(command.machine.engine == .map)
  }

  @Test(arguments: [
    ("--qmp s -- qemu", "Give either --qmp, or a QEMU to start behind --, not both."),
    (
      "--qmp s --detach", "--detach is for a QEMU that this command starts: give it behind --."
    ),
    (
      "--qmp s --socket t", "--socket is for a QEMU that this command starts: give it behind --."
    ),
    ("--qmp s --log l", "--log is for a QEMU that this command starts: give it behind --."),
    ("--socket t -- qemu", "--socket and --log are for --detach."),
    ("--log l -- qemu", "--socket and --log are for --detach."),
    ("--to-directory d --qmp s", "--to-directory is for files, and --qmp for a VM."),
    ("--block a --qmp s", "--block is for files, and --qmp for a VM."),
    ("--to-directory d -- qemu", "--to-directory is for files, and -- qemu for a VM."),
    (
      "--to-directory d --engine map",
      "--engine is for a VM: give --qmp, or a QEMU to start behind --."
    ),
    (
      "--to-directory d --then pause",
      "--then is for a VM: give --qmp, or a QEMU to start behind --."
    ),
    ("--to-directory d --pid 1", "--pid is for a VM: give --qmp, or a QEMU to start behind --."),
  ])
  func aRestoreRefuses(options: String, message: String) {
    #expect(complaint("restore x.img \(options)") == message)
  }

  @Test(arguments: ["x.img", "--qmp s", "--qmp s --json", "--qmp s --pid 3", "x.img --pages"])
  func anInspectionTakes(options: String) {
    #expect(complaint("inspect \(options)") == nil)
  }

  @Test(arguments: [
    (
      "", "Nothing says what to inspect: give an image, or the socket of a QEMU's QMP with --qmp."
    ),
    ("x.img --qmp s", "Give either an image (x.img) or --qmp, not both."),
    (
      "x.img --pid 3",
      "--pid is for a running VM: give the socket of its QEMU's QMP with --qmp as well."
    ),
    ("--qmp s --sections", "--sections is for an image, and --qmp for a running VM."),
    ("--qmp s --devices", "--devices is for an image, and --qmp for a running VM."),
    ("--qmp s --pages", "--pages is for an image, and --qmp for a running VM."),
    ("--qmp s --pages-svg f", "--pages-svg is for an image, and --qmp for a running VM."),
    ("--qmp s --offset 0", "--offset is for an image, and --qmp for a running VM."),
  ])
  func anInspectionRefuses(options: String, message: String) {
    #expect(complaint("inspect \(options)") == message)
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
