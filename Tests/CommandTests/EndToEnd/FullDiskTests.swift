import SystemPackage
import TestSupport
import Testing

/// On a file system without room the command fails with 74 and leaves nothing, not even used blocks.
@Suite(.enabled(if: SmallFileSystem.isPermitted, "needs mount(8)"))
struct FullDiskTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let disk: SmallFileSystem

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("q35").unpack(into: directory)
    disk = try SmallFileSystem(byteCount: 2 << 20)
  }

  private func expectFullDisk(_ arguments: [String]) throws {
    let result = try Tool.run(arguments)
    #expect(result.status == 74)
    #expect(result.errors.contains("No space left on device"), "\(result.errors)")
    #expect(try disk.names() == [])
    #expect(try disk.usedByteCount() == 0)
  }

  @Test(arguments: ["io_uring", "sync"])
  func restore(method: String) throws {
    try expectFullDisk(
      ["unpack", image.string, disk.file("parts").string, "--io", method])
  }

  @Test(arguments: ["io_uring", "sync"])
  func save(method: String) throws {
    let parts = directory.file("parts").string
    try Tool.succeed(["unpack", image.string, parts])
    try expectFullDisk(
      ["pack", parts, disk.file("copy.img").string, "--io", method])
  }

  @Test func bench() throws {
    try expectFullDisk(["bench", disk.directory.path.string, "--size", "16M"])
  }
}
