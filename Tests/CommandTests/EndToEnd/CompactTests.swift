import Foundation
import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// Stale slots are punched out when that is asked for, by the built command.
@Suite struct CompactTests {
  private let directory: TemporaryDirectory
  private let image: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("live").unpack(into: directory)
  }

  private func sum(_ path: FilePath) throws -> String {
    try Subprocess.succeed(["sh", "-c", "sha256sum <'\(path)'"]).text
  }

  /// What `body` gives while the image has the lock of a VM that runs on it.
  private func whileLocked<Value>(_ body: () throws -> Value) throws -> Value {
    let file = try File.open(image, access: .read)
    try file.lock(.shared)
    defer { withExtendedLifetime(file) {} }
    return try body()
  }

  private func blocks(of number: Int) throws -> String {
    let parts = directory.file("parts\(number)")
    try Tool.succeed(["unpack", image.string, parts.string])
    return try Subprocess.succeed(["sh", "-c", "cd '\(parts)' && sha256sum *.ram vmstate.bin"]).text
  }

  /// The contents stay, the room goes; a second time there is nothing to do.
  @Test func theRoomOfStaleSlotsIsFreed() throws {
    let (before, bytes) = (try blocks(of: 1), try sum(image))
    let stale = (try Fixture("live").expected.blocks ?? []).reduce(0) { $0 + Int($1.stale ?? 0) }
    let first = try Tool.succeed(["compact", "--json", image.string])
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(first.output)) as? [String: Any])
    #expect(report["command"] as? String == "compact")
    #expect(try #require(report["clearedPages"] as? Int) >= stale)
    // Less the blocks that the file system needs to say where the holes are.
    #expect(try #require(report["freedBytes"] as? Int) >= stale * 4096 - 65536)
    #expect(first.errors.hasPrefix("\(image): freed "), "\(first.errors)")
    #expect(try sum(image) != bytes)
    #expect(try blocks(of: 2) == before)
    let compacted = try sum(image)
    #expect(try Tool.succeed(["compact", image.string]).errors == "\(image): nothing to do\n")
    #expect(try sum(image) == compacted)
    #expect(try !Tool.succeed(["inspect", image.string]).text.contains("stale slots"))
  }

  /// A signal ends it at any moment; the image means what it meant.
  @Test func anInterruptedOneCanBeMadeAgain() throws {
    let before = try blocks(of: 3)
    let tool = try RunningTool(["compact", image.string])
    tool.send(SIGINT)
    // It may have ended before.
    #expect([0, 130].contains(try tool.wait()))
    #expect(try blocks(of: 4) == before)
    try Tool.succeed(["compact", image.string])
    #expect(try blocks(of: 5) == before)
  }

  /// Where no holes can be made, that is an error with its cause.
  @Test(.enabled(if: LoopDevice.isAvailable, "needs root"))
  func whereNoHolesCanBeMade() throws {
    let place = try MountedFileSystem(.ramfs)
    let copy = place.path.appending("live.img")
    try Subprocess.succeed(["cp", image.string, copy.string])
    let bytes = try sum(copy)
    let result = try Tool.run(["compact", copy.string])
    #expect(result.status == 74)
    #expect(result.errors.contains("cannot make a hole at "), "\(result.errors)")
    #expect(result.errors.hasSuffix("The file system or the device cannot make holes.\n"))
    #expect(try sum(copy) == bytes)
  }

  /// What is no whole image, and what others have, stays as it is.
  @Test func whatIsRefusedIsNotChanged() throws {
    let size = try File.open(image, access: .read).size()
    var bytes = try sum(image)
    let inUse = try whileLocked { try Tool.run(["compact", image.string]) }
    #expect(inUse.status == 73 && inUse.errors.contains("a VM runs on it"), "\(inUse.errors)")
    #expect(try sum(image) == bytes)

    try Subprocess.succeed(["truncate", "-s", "\(size - 5000)", image.string])
    bytes = try sum(image)
    #expect(try Tool.run(["compact", image.string]).status == 65)
    #expect(try sum(image) == bytes)
    let letter = directory.file("letter")
    try Data("Dear Sir".utf8).write(to: URL(fileURLWithPath: letter.string))
    #expect(try Tool.run(["compact", letter.string]).status == 65)
    #expect(try Tool.run(["compact", directory.file("none").string]).status == 73)
    #expect(try Tool.run(["compact", directory.path.string]).status != 0)
  }
}
