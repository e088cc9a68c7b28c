import Foundation
import SystemPackage
import TestSupport
import Testing

/// The built command on a block device, where an image lies as it is.
@Suite(.enabled(if: LoopDevice.isAvailable, "needs losetup(8)"))
struct BlockDeviceTests {
  let directory: TemporaryDirectory
  let image: FilePath
  let parts: String

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("q35").unpack(into: directory)
    parts = directory.file("parts").string
    try Tool.succeed(["unpack", image.string, parts])
  }

  @Test func anImageOnADeviceIsTheSame() throws {
    let device = try LoopDevice(byteCount: 64 << 20, in: directory)
    let report = try Tool.succeed(
      ["pack", parts, device.path.string, "--direct-io", "required", "--verbose"])
    #expect(report.errors.contains(/([0-9]+) requests by [a-z_]+, \1 of them direct/))
    let size = try #require(
      try FileManager.default.attributesOfItem(atPath: image.string)[.size] as? Int)
    try Subprocess.succeed(["cmp", "-n", "\(size)", image.string, device.path.string])
    let again = directory.file("again").string
    try Tool.succeed(["unpack", device.path.string, again])
    try Subprocess.succeed(["diff", "-r", parts, again])
  }

  @Test func aDeviceThatIsTooSmallIsRefused() throws {
    let device = try LoopDevice(byteCount: 8 << 20, in: directory)
    let result = try Tool.run(["pack", parts, device.path.string])
    #expect(result.status == 73)
    #expect(result.errors.contains("the device has 8388608 bytes; the image needs "))
  }
}
