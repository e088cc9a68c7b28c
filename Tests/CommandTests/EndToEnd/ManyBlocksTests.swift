import Foundation
import SystemPackage
import TestSupport
import Testing

/// More RAMBlocks than a process may have files open at first.
@Suite struct ManyBlocksTests {
  @Test func aRestoreOpensMoreFilesThanTheSoftLimitAllows() throws {
    let directory = try TemporaryDirectory()
    let page = directory.file("page.raw")
    try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: page.string))
    let fixture = try Fixture("microvm")
    let original = try fixture.unpack(into: directory)
    let parts = directory.file("parts")
    try Tool.succeed(["unpack", original.string, parts.string])
    let image = directory.file("many.img")
    let blocks = (0..<150).flatMap { ["--block", "b\($0)=\(page)"] }
    try Tool.succeed(
      ["pack", "--machine", "microvm", "--vmstate", parts.appending("vmstate.bin").string] + blocks
        + [directory.path.string, image.string])
    let target = directory.file("restored")
    try Subprocess.succeed(
      [
        "sh", "-c", "ulimit -Sn 128; exec \"$@\"", "sh", Tool.path, "unpack", image.string,
        target.string,
      ])
    let files = try FileManager.default.contentsOfDirectory(atPath: target.string)
    #expect(files.count == 152)
  }
}
