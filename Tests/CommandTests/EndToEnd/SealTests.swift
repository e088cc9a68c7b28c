import Foundation
import Glibc
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// `seal` by the built command.
@Suite struct SealTests {
  private let directory: TemporaryDirectory
  private let plain: FilePath
  private let image: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    plain = try Fixture("q35").unpack(into: directory)
    image = directory.file("image")
    try copyPlain()
  }

  private func copyPlain() throws {
    try Subprocess.succeed(["cp", "--sparse=always", plain.string, image.string])
  }

  private func sha256(_ path: FilePath) throws -> String {
    try Subprocess.succeed(["sh", "-c", "sha256sum <'\(path)'"]).text
  }

  private func json(_ arguments: [String]) throws -> [String: Any] {
    let result = try Tool.succeed(["seal", "--json"] + arguments)
    return try #require(
      try JSONSerialization.jsonObject(with: Data(result.output)) as? [String: Any])
  }

  @Test func anImageOfQEMUsGetsThem() throws {
    let told = try Tool.succeed(["seal", image.string]).errors
    #expect(told.hasPrefix("Sealed \(image)\n"), "\(told)")
    #expect(try Tool.run(["verify", image.string]).status == 0)
    let again = try Tool.succeed(["seal", image.string])
    #expect(again.errors == "\(image): it has checksums already; nothing was written\n")
    // Without what was added it is the plain one.
    let sealed = try sha256(image)
    let report = try json([image.string])
    #expect(report["isSealed"] as? Bool == false && report["transfer"] is NSNull)
    #expect(try sha256(image) == sealed)
    let file = try File.open(image, access: .readWrite, directIO: .off)
    try file.truncate(to: try #require(Image(reading: file).tail?.upperBound.rawValue))
    #expect(try sha256(image) == sha256(plain))
  }

  @Test func aCopyGetsThem() throws {
    let before = try sha256(plain)
    let report = try json(["--copy", image.string, plain.string])
    #expect(report["isSealed"] as? Bool == true && report["copy"] as? String == image.string)
    #expect(try sha256(plain) == before)
    #expect(try Tool.run(["verify", image.string]).status == 0)
    // It may replace an image, and nothing else.
    try Data("a letter".utf8).write(to: URL(fileURLWithPath: image.string))
    let refused = try Tool.run(["seal", "--copy", image.string, plain.string])
    #expect(refused.status == 73 && refused.errors.contains("--force"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: image.string)) == Data("a letter".utf8))
    try Tool.succeed(["seal", "--force", "--copy", image.string, plain.string])
    #expect(try Tool.run(["verify", image.string]).status == 0)
    #expect(try Tool.run(["seal", "--force", plain.string]).status == 64)
  }

  @Test func whatIsNoImageIsRefused() throws {
    try Data("no image at all".utf8).write(to: URL(fileURLWithPath: image.string))
    let result = try Tool.run(["seal", image.string])
    #expect(result.status == 65 && result.errors.hasPrefix("Error: "))
    #expect(try Data(contentsOf: URL(fileURLWithPath: image.string)).count == 15)
    #expect(try Tool.run(["seal", directory.file("none").string]).status == 73)
    #expect(try Tool.run(["seal", directory.path.string]).status == 73)
    #expect(try Tool.run(["seal", "--json", directory.file("none").string]).status == 73)
  }

  /// Killed at random moments: the image reads as before or is sealed, and the next one finishes. `MAPPED_RAM_SEAL_KILLS` makes more.
  @Test func killedAtAnyMomentTheImageReadsAsItDid() throws {
    var generator = SeededGenerator()
    let kills = ProcessInfo.processInfo.environment["MAPPED_RAM_SEAL_KILLS"].flatMap { Int($0) }
    let expected = directory.file("expected")
    try Subprocess.succeed(["cp", "--sparse=always", plain.string, expected.string])
    let clock = ContinuousClock()
    let time = try clock.measure { try Tool.succeed(["seal", expected.string]) }
    let sum = try sha256(expected)
    let size = try File.open(plain, access: .read).size()
    var wasSealed = 0
    for _ in 0..<(kills ?? 20) {
      try copyPlain()
      let tool = try RunningTool(["seal", image.string])
      usleep(UInt32.random(in: 0...UInt32(max(1, time / .microseconds(1))), using: &generator))
      tool.send(SIGKILL)
      _ = try tool.wait()
      let found = try Image(at: image)
      #expect(found.isComplete)
      if found.areas != .none { wasSealed += 1 }
      try Subprocess.succeed(["cmp", "-n", "\(size)", image.string, plain.string])
      try Tool.succeed(["seal", image.string])
      #expect(try sha256(image) == sum)
    }
    print("killed \(kills ?? 20) times, \(wasSealed) times when all was written")
  }
}
