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

  /// Put together for huge pages an image means the same to an independent reader; taken apart again it keeps its layout, unless another is
  /// asked for, and QEMU's gives QEMU's bytes.
  @Test(arguments: Fixture.complete.filter { !$0.hasStaleSlots && $0.name != "huge-pages" })
  func theLayoutForHugePagesAndBack(_ fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let apart = try takeApart(fixture, in: directory)
    #expect(apart.manifest.layout == nil)
    let huge = directory.file("huge.img")
    _ = try ImageSave(SavePlan.ofDirectory(apart.path, slots: .hugePages)).run(to: huge)
    let streamOffset = fixture.expected.streamOffset
    let read = try ImageDecoderOracle.read(huge, offset: streamOffset)
    for (block, expected) in zip(try #require(read.blocks), try #require(fixture.expected.blocks)) {
      #expect(block.sha256 == expected.sha256 && block.present == expected.present)
      guard !block.ignored, block.usedLength >= 2 << 20 else { continue }
      #expect(block.pagesOffset % (2 << 20) == 0, "\(block.idstr)")
    }
    #expect(read.sections.count == fixture.expected.sections.count)
    let isContained = fixture.expected.libvirt != nil
    let image = try Image(at: huge, streamOffset: isContained ? nil : FileOffset(streamOffset))
    let hasLarge = image.blocks.contains { $0.layout.fitsHugePages }
    #expect(image.slots == (hasLarge ? .hugePages : .qemu))
    let again = directory.file("again")
    _ = try DirectoryRestore(
      ImageRestore(at: huge, streamOffset: isContained ? nil : FileOffset(streamOffset)), to: again
    ).run()
    #expect(try DirectoryManifest(readingFrom: again).layout == (hasLarge ? "2M" : nil))
    let (kept, back) = (directory.file("kept.img"), directory.file("back.img"))
    _ = try ImageSave(SavePlan.ofDirectory(again)).run(to: kept)
    #expect(try sha256(kept) == sha256(huge))
    _ = try ImageSave(SavePlan.ofDirectory(again, slots: .qemu)).run(to: back)
    #expect(try sha256(back) == fixture.expected.sha256)
  }

  /// What another program has laid out so: the layout is known, and kept, as the test of all fixtures shows.
  @Test func theLayoutOfAnotherProgramIsKnown() throws {
    let directory = try TemporaryDirectory()
    let fixture = try Fixture("huge-pages")
    #expect(try takeApart(fixture, in: directory).manifest.layout == "2M")
    let blocks = try Image(at: directory.file("huge-pages.img")).blocks
    #expect(
      blocks.filter { $0.layout.fitsHugePages }.map(\.idstr) == ["pc.ram", "0000:00:02.0/vga.vram"])
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
