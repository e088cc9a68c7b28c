import SystemPackage
import TestSupport
import Testing

/// On a file system without room the command fails with 74 and leaves nothing, not even used blocks.
@Suite(.enabled(if: Mounts.areAllowed, "needs mount(8)"))
struct FullDiskTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let mount: MemoryMount

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("q35").unpack(into: directory)
    mount = try MemoryMount(bytes: 2 << 20)
  }

  private func expectFullDisk(_ arguments: [String]) throws {
    let result = try Tool.run(arguments)
    #expect(result.status == 74)
    #expect(result.errors.contains("No space left on device"), "\(result.errors)")
    #expect(try mount.names() == [])
    #expect(try mount.usedBytes() == 0)
  }

  @Test(arguments: ["io_uring", "sync"])
  func restore(method: String) throws {
    try expectFullDisk(
      ["restore", image.string, "--to-directory", mount.path + "/parts", "--io", method])
  }

  @Test(arguments: ["io_uring", "sync"])
  func save(method: String) throws {
    let parts = directory.file("parts").string
    try Tool.succeed(["restore", image.string, "--to-directory", parts])
    try expectFullDisk(
      ["save", "--from-directory", parts, mount.path + "/copy.img", "--io", method])
  }

  @Test func bench() throws {
    try expectFullDisk(["bench", mount.path, "--size", "16M"])
  }
}
