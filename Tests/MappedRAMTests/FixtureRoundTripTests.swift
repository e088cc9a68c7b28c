import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// Real images, taken apart and put together again.
@Suite struct FixtureRoundTripTests {
  /// Each RAMBlock's contents are what an independent reader found, stale slots as zeros.
  @Test(arguments: Fixture.complete)
  func blocksHaveTheContentsOfTheImage(_ fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let outcome = try takeApart(fixture, in: directory)
    for block in try #require(fixture.expected.blocks) where !block.ignored {
      let name = try #require(outcome.manifest.blocks.first { $0.idstr == block.idstr }?.file)
      let sum = try sha256(outcome.path.appending(name))
      #expect(sum == block.sha256, "\(block.idstr)")
    }
  }

  /// An image of a stopped VM comes out byte for byte, with data where the original has data and holes where it has holes.
  @Test(arguments: Fixture.complete.filter { !$0.hasStaleSlots })
  func puttingTogetherGivesTheSameFile(_ fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let outcome = try takeApart(fixture, in: directory)
    let copy = directory.file("copy.img")
    _ = try ImageSave(SavePlan.ofDirectory(outcome.path)).run(to: copy)
    #expect(try sha256(copy) == fixture.expected.sha256)
    let original = directory.file(fixture.name + ".img")
    #expect(try dataMap(copy) == dataMap(original))
  }

  /// A live save's stale slots are holes in what we write; everything else is as it was.
  @Test(arguments: Fixture.complete.filter(\.hasStaleSlots))
  func puttingTogetherLeavesStaleSlotsOut(_ fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let outcome = try takeApart(fixture, in: directory)
    let copy = directory.file("copy.img")
    _ = try ImageSave(SavePlan.ofDirectory(outcome.path)).run(to: copy)
    let read = try ImageDecoderOracle.read(copy, offset: fixture.expected.streamOffset)
    let blocks = try #require(read.blocks)
    for (block, expected) in zip(blocks, try #require(fixture.expected.blocks)) {
      #expect(block.sha256 == expected.sha256)
      #expect(block.present == expected.present)
      #expect(block.stale == 0)
    }
    #expect(read.sections.count == fixture.expected.sections.count)
  }

  private func takeApart(
    _ fixture: Fixture, in directory: TemporaryDirectory
  ) throws -> (path: FilePath, manifest: DirectoryManifest) {
    let image = try fixture.unpack(into: directory)
    let isLibvirt = fixture.expected.libvirt != nil
    let offset = isLibvirt ? nil : FileOffset(fixture.expected.streamOffset)
    let path = directory.file("apart")
    let outcome = try DirectoryRestore(ImageRestore(at: image, streamOffset: offset), to: path)
      .run()
    #expect(try outcome.image == Image(at: image, streamOffset: offset))
    return (path, try DirectoryManifest(readingFrom: path))
  }
}

extension Fixture {
  var hasStaleSlots: Bool { expected.blocks?.contains { ($0.stale ?? 0) > 0 } ?? false }
}

/// The SHA-256 of a file, by coreutils.
func sha256(_ path: FilePath) throws -> String {
  String(try Subprocess.succeed(["sha256sum", path.string]).text.prefix(64))
}
