import Foundation
import SystemPackage
import TestSupport
import Testing

/// How the built command fails: its status, one sentence, and nothing left behind.
@Suite struct FailureTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let parts: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("microvm").unpack(into: directory)
    parts = directory.file("parts")
    try Tool.succeed(["unpack", image.string, parts.string])
  }

  private func expectFailure(
    _ status: Int32, _ message: String, _ arguments: [String],
    location: SourceLocation = #_sourceLocation
  ) throws {
    let before = try directory.names()
    let result = try Tool.run(arguments)
    #expect(result.status == status, sourceLocation: location)
    #expect(result.errors.hasPrefix("Error: "), sourceLocation: location)
    #expect(
      result.errors.contains(message), "\(result.errors)", sourceLocation: location)
    #expect(result.output.isEmpty, sourceLocation: location)
    #expect(try directory.names() == before, sourceLocation: location)
  }

  private var target: String { directory.file("target").string }

  @Test func noImage() throws {
    try expectFailure(
      74, "No such file or directory",
      ["unpack", directory.file("none").string, target])
  }

  @Test func aDirectoryAsImage() throws {
    try expectFailure(65, "is a directory", ["unpack", parts.string, target])
  }

  @Test func aDeviceAsImage() throws {
    try expectFailure(65, "character device", ["unpack", "/dev/zero", target])
  }

  @Test func aPipeAsImageDoesNotHang() throws {
    let pipe = directory.file("pipe")
    try Subprocess.succeed(["mkfifo", pipe.string])
    try expectFailure(65, "is a FIFO", ["unpack", pipe.string, target])
  }

  @Test func anotherFileAsImage() throws {
    try expectFailure(
      65, "QEVM",
      ["unpack", parts.appending("image.json").string, target])
  }

  @Test func aBlockThatIsNotThere() throws {
    try expectFailure(
      64, "There is no RAMBlock \"nope\"; the image has ",
      ["unpack", image.string, target, "--block", "nope"])
  }

  @Test func aDirectoryThatCannotBeMade() throws {
    try expectFailure(
      73, "No such file or directory",
      ["unpack", image.string, directory.file("a/b").string])
    try expectFailure(
      73, "Not a directory", ["unpack", image.string, image.string])
  }

  @Test func anImageThatCannotBeMade() throws {
    let save = ["pack", parts.string]
    try expectFailure(73, "No such file", save + [directory.file("a/b.img").string])
    try expectFailure(73, "Not a directory", save + [image.appending("b.img").string])
    try expectFailure(73, "is a directory", save + [parts.string])
    try expectFailure(73, "is a character device", save + ["/dev/null"])
    try expectFailure(73, "No such file", save + ["--in-place", target])
  }

  /// A picture takes the place of a picture, and of nothing else.
  @Test func aPictureReplacesPicturesAlone() throws {
    for path in [image, parts.appending("image.json")] {
      let before = try Data(contentsOf: URL(fileURLWithPath: path.string))
      let result = try Tool.run(["inspect", image.string, "--pages-svg", path.string])
      #expect(result.status == 73)
      #expect(result.errors.contains("\(path): this file is not a picture (SVG) and would be lost"))
      #expect(try Data(contentsOf: URL(fileURLWithPath: path.string)) == before)
      try expectFailure(
        73, "this file is not a picture (SVG)",
        ["bench", directory.path.string, "--size", "64K", "--repeat", "1", "--chart", path.string])
    }
    let picture = directory.file("pages.svg").string
    try Data().write(to: URL(fileURLWithPath: picture))
    for _ in 1...2 { try Tool.succeed(["inspect", image.string, "--pages-svg", picture]) }
    try Tool.succeed(
      ["bench", directory.path.string, "--size", "64K", "--repeat", "1", "--chart", picture])
  }

  @Test func aFileThatIsNoImage() throws {
    for (name, head, found) in [
      ("letter", Array("Dear Sir".utf8), "a text file"),
      ("disk", [0x51, 0x46, 0x49, 0xFB], "a qcow2 disk image"),
      ("noise", [0xEE, 0xEE, 0xEE, 0xEE], "not an image"),
      ("zeros", [UInt8](repeating: 0, count: 100), "not an image"),
    ] {
      let path = directory.file(name)
      try Data(head).write(to: URL(fileURLWithPath: path.string))
      let save = ["pack", parts.string]
      try expectFailure(73, "\(path): this is \(found) and would be lost", save + [path.string])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path.string)) == Data(head))
      try Tool.succeed(save + ["--force", path.string])
    }
  }

  @Test func noDirectoryToSaveFrom() throws {
    try expectFailure(
      74, "no such file. A directory that \"mapped-ram unpack\" wrote has one",
      ["pack", directory.file("none").string, target])
  }

  @Test func aManifestAndBlocksByHand() throws {
    try expectFailure(
      64,
      "this manifest defines the blocks, so --block, --vmstate, --machine cannot be given",
      ["pack", parts.string, "--machine", "pc", "--vmstate", "vmstate.bin"]
        + ["--block", "a=b", target])
  }

  @Test func aManifestThatIsNotRight() throws {
    let manifest = parts.appending("image.json")
    try Data("{}".utf8).write(to: URL(fileURLWithPath: manifest.string))
    try expectFailure(65, "has no key", ["pack", parts.string, target])
  }

  @Test func aBlockFileThatIsTooShort() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: parts.string)
    let block = try #require(files.first { $0.hasSuffix(".ram") })
    try Subprocess.succeed(["truncate", "-s", "-4096", parts.appending(block).string])
    try expectFailure(65, "bytes; expected", ["pack", parts.string, target])
  }

  @Test func aBlockFileThatIsMissing() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: parts.string)
    let block = try #require(files.first { $0.hasSuffix(".ram") })
    try FileManager.default.removeItem(atPath: parts.appending(block).string)
    try expectFailure(
      65, "image.json: \"\(block)\" is named here, but is not in the directory",
      ["pack", parts.string, target])
  }

  /// What is wrong with a manifest is told before an image that is to be overwritten is gone.
  @Test func anEditedManifestOverwritesNothing() throws {
    let manifest = URL(fileURLWithPath: parts.appending("image.json").string)
    let text = try String(contentsOf: manifest, encoding: .utf8)
    let changed = text.replacing(/"machineType" : ".*"/, with: "\"machineType\" : \"\"")
    try Data(changed.utf8).write(to: manifest)
    let before = try Data(contentsOf: URL(fileURLWithPath: image.string))
    try expectFailure(
      65, "image.json: machineType has the value \"\"",
      ["pack", parts.string, "--in-place", image.string])
    #expect(try Data(contentsOf: URL(fileURLWithPath: image.string)) == before)
  }

  @Test func deviceStateThatIsNone() throws {
    let block = directory.file("block")
    try Data(count: 4096).write(to: URL(fileURLWithPath: block.string))
    try expectFailure(
      65, "The device state that was given is probably not",
      ["pack", "--machine", "pc", "--vmstate", parts.appending("image.json").string]
        + ["--block", "a=\(block.string)", directory.path.string, target])
  }

  @Test func aBlockFileOfBrokenPages() throws {
    try expectFailure(
      65, "RAMBlock \"a\"",
      ["pack", "--machine", "pc", "--vmstate", parts.appending("vmstate.bin").string]
        + ["--block", "a=\(parts.appending("image.json").string)", directory.path.string, target])
  }

  @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
  func whatIsNotPermitted() throws {
    // Temporary directories belong to root and others may not write in them.
    try Subprocess.succeed(["chmod", "-R", "a+rX", directory.path.string])
    let result = try Subprocess.run(
      ["setpriv", "--reuid=65534", "--clear-groups", Tool.path, "bench", directory.path.string])
    #expect(result.status == 77, "\(result.errors)")
    #expect(result.errors.contains("Permission denied"))
  }

  @Test(.enabled(if: SmallFileSystem.isPermitted, "needs mount(8)"))
  func requiredDirectIOThatIsRefused() throws {
    let disk = try SmallFileSystem(byteCount: 1 << 20)
    let result = try Tool.run([
      "bench", disk.directory.path.string, "--size", "4K", "--repeat", "1", "--direct-io",
      "required",
    ])
    #expect(result.status == 69, "\(result.errors)")
    #expect(result.errors.contains("direct I/O is not possible"))
  }
}
