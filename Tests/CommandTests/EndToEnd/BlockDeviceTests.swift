import Foundation
import SystemPackage
import TestSupport
import Testing

/// The built command on a block device, where an image lies as it is.
@Suite(.enabled(if: LoopDevice.isAllowed, "needs losetup(8)"))
struct BlockDeviceTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let parts: String

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("q35").unpack(into: directory)
    parts = directory.file("parts").string
    try Tool.succeed(["restore", image.string, "--to-directory", parts])
  }

  @Test func anImageOnADeviceIsTheSame() throws {
    let device = try LoopDevice(bytes: 64 << 20)
    let report = try Tool.succeed(
      ["save", "--from-directory", parts, device.path, "--direct-io", "required"])
    #expect(report.errors.contains(/([0-9]+) requests by [a-z_]+, \1 of them direct/))
    let size = try #require(
      try FileManager.default.attributesOfItem(atPath: image.string)[.size] as? Int)
    try Subprocess.succeed(["cmp", "-n", "\(size)", image.string, device.path])
    let again = directory.file("again").string
    try Tool.succeed(["restore", device.path, "--to-directory", again])
    try Subprocess.succeed(["diff", "-r", parts, again])
  }

  @Test func aDeviceThatIsTooSmallIsRefused() throws {
    let device = try LoopDevice(bytes: 8 << 20)
    let result = try Tool.run(["save", "--from-directory", parts, device.path])
    #expect(result.status == 73)
    #expect(result.errors.contains("the device has 8388608 bytes; the image needs "))
  }
}

/// A block device over a file, detached when the last reference goes.
private final class LoopDevice {
  static let isAllowed = (try? LoopDevice(bytes: 1 << 20)) != nil

  private let directory: TemporaryDirectory
  let path: String

  init(bytes: Int) throws {
    directory = try TemporaryDirectory()
    let file = directory.file("disk").string
    try Subprocess.succeed(["truncate", "-s", "\(bytes)", file])
    let found = try Subprocess.succeed(["losetup", "--find", "--show", file]).text
    path = String(found.prefix { !$0.isNewline })
  }

  deinit {
    // Clean-up: nobody is left to tell.
    _ = try? Subprocess.run(["losetup", "--detach", path])
  }
}
