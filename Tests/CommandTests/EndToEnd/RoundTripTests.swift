import Foundation
import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// Takes real images apart and puts them together with the built command.
@Suite struct RoundTripTests {
  static var images: [Fixture] {
    // With stale slots, or RAM that changed under way, there is nothing that could be equal.
    Fixture.complete.filter { fixture in
      (fixture.expected.blocks ?? []).allSatisfy { ($0.stale ?? 0) == 0 }
    }
  }

  /// A fixture taken apart into `parts`.
  private func takeApart(
    _ fixture: Fixture, _ directory: TemporaryDirectory, _ options: [String] = []
  ) throws -> FilePath {
    let image = try fixture.unpack(into: directory)
    let isContained = fixture.expected.libvirt != nil || fixture.expected.streamOffset == 0
    let offset = isContained ? [] : ["--offset", "\(fixture.expected.streamOffset)"]
    try Tool.succeed(
      ["unpack", image.string, directory.file("parts").string] + offset + options
    )
    return image
  }

  private func expectSameBytes(_ left: FilePath, _ right: FilePath) throws {
    let result = try Subprocess.run(["cmp", left.string, right.string])
    #expect(result.status == 0, "\(result.text)\(result.errors)")
  }

  @Test(arguments: images)
  func theImageComesBackByteForByteWithItsHoles(fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let image = try takeApart(fixture, directory)
    let copy = directory.file("copy.img")
    try Tool.succeed(["pack", directory.file("parts").string, copy.string])
    try expectSameBytes(image, copy)
    try expectHoles(of: image, in: copy)
  }

  /// Expects a hole in `copy` wherever `image` has one, in whole blocks of 4 KiB.
  private func expectHoles(of image: FilePath, in copy: FilePath) throws {
    let image = try File.open(image, access: .read, directIO: .off)
    let copy = try File.open(copy, access: .read, directIO: .off)
    try copy.syncData()
    let size = try image.size()
    var position: UInt64 = 0
    while let data = try copy.nextData(in: position..<size) {
      for block in stride(from: data.lowerBound, to: data.upperBound, by: 4096) {
        let end = min(block + 4096, data.upperBound)
        let isData = try image.nextData(in: block..<end) != nil
        #expect(isData, "a hole at \(block) was filled")
      }
      position = data.upperBound
    }
  }

  @Test(arguments: [
    ["--io", "sync"], ["--direct-io", "off"], ["--channels", "1", "--queue-depth", "1"],
    ["--channels", "7", "--request-size", "64K"], ["--request-size", "16M"],
  ])
  func theTransferOptionsChangeNothingInTheFiles(options: [String]) throws {
    let directory = try TemporaryDirectory()
    let image = try takeApart(try Fixture("q35"), directory, options)
    let copy = directory.file("copy.img")
    try Tool.succeed(
      ["pack", directory.file("parts").string, copy.string] + options)
    try expectSameBytes(image, copy)
  }

  @Test func aSingleBlockComesAlone() throws {
    let directory = try TemporaryDirectory()
    _ = try takeApart(try Fixture("q35"), directory, ["--block", "pc.ram", "--block", "pc.bios"])
    let parts = try FileManager.default.contentsOfDirectory(atPath: directory.file("parts").string)
    #expect(parts.sorted() == ["pc.bios.ram", "pc.ram.ram"])
  }

  /// What another made in the directory, or where a device's state is to go, stays.
  @Test func filesOfOthersAreNotReplaced() throws {
    let directory = try TemporaryDirectory()
    let parts = directory.file("parts")
    let other = parts.appending("pc.ram.ram")
    try Subprocess.succeed(["mkdir", parts.string])
    try Data("mine".utf8).write(to: URL(fileURLWithPath: other.string))
    let image = try Fixture("pc").unpack(into: directory)
    let restore = ["unpack", image.string, parts.string]
    for options in [[], ["--block", "pc.ram"]] {
      let refused = try Tool.run(restore + options)
      #expect(
        refused.status == 73 && refused.errors.contains("pc.ram.ram: this file exists"))
      #expect(try Data(contentsOf: URL(fileURLWithPath: other.string)) == Data("mine".utf8))
      #expect(try FileManager.default.contentsOfDirectory(atPath: parts.string) == ["pc.ram.ram"])
    }
    try Tool.succeed(restore + ["--force"])
    // Now they are a restore's own, and image.json says so.
    try Tool.succeed(restore)
    let state = directory.file("state")
    try Data("mine".utf8).write(to: URL(fileURLWithPath: state.string))
    let device = try Tool.run(
      ["unpack", image.string, directory.file("new").string]
        + ["--device", "none=\(state)"])
    #expect(device.status == 73 && device.errors.contains("state: this file exists"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: state.string)) == Data("mine".utf8))
  }

  @Test func anImageBuiltByHandIsTheSame() throws {
    let directory = try TemporaryDirectory()
    let fixture = try Fixture("q35")
    let image = try takeApart(fixture, directory)
    let parts = directory.file("parts")
    try FileManager.default.removeItem(atPath: parts.appending("image.json").string)
    let copy = directory.file("copy.img")
    let blocks = (fixture.expected.blocks ?? []).flatMap { block in
      ["--block", "\(block.idstr)=\(block.idstr.replacing("/", with: "%2F")).ram"]
    }
    try Tool.succeed(
      ["pack", parts.string, "--machine", fixture.expected.machine]
        + ["--vmstate", "vmstate.bin"] + blocks + [copy.string])
    try expectSameBytes(image, copy)
  }

  @Test func anImageInPlaceIsTheSame() throws {
    let directory = try TemporaryDirectory()
    let image = try takeApart(try Fixture("q35"), directory)
    let copy = directory.file("copy.img")
    try Data(repeating: 0xAA, count: 30 << 20).write(to: URL(fileURLWithPath: copy.string))
    let identity = try Subprocess.succeed(["stat", "-c", "%i", copy.string]).text
    try Tool.succeed(
      ["pack", directory.file("parts").string, "--in-place"]
        + ["--force", copy.string])
    #expect(try Subprocess.succeed(["stat", "-c", "%i", copy.string]).text == identity)
    try expectSameBytes(image, copy)
  }

  @Test func anotherOffsetIsUsedWhereNothingStandsBefore() throws {
    let directory = try TemporaryDirectory()
    let image = try takeApart(try Fixture("q35"), directory)
    let parts = directory.file("parts")
    let (moved, again) = (directory.file("moved.img"), directory.file("again"))
    try Tool.succeed(["pack", parts.string, "--offset", "1M", moved.string])
    try Tool.succeed(
      ["unpack", moved.string, "--offset", "0x100000", again.string])
    try Tool.succeed(
      ["pack", again.string, "--offset", "0", directory.file("b.img").string])
    try expectSameBytes(image, directory.file("b.img"))
  }

  @Test func libvirtsHeaderIsNotCutOff() throws {
    let directory = try TemporaryDirectory()
    _ = try takeApart(try Fixture("libvirt"), directory)
    let parts = directory.file("parts").string
    let result = try Tool.run(
      ["pack", parts, "--offset", "0", directory.file("x.img").string])
    #expect(result.status == 64)
    #expect(result.errors.contains("what stands before the stream belongs to this image"))
  }
}
