import MappedRAMFormat
import Testing

@Suite struct ImageLayoutTests {
  static let q35 = StreamPrologue(
    configuration: Configuration(
      machineType: "pc-q35-10.0", subsections: [.capabilities(["mapped-ram"])]),
    ramSectionID: 1)

  private func block(_ idstr: String, pages: Int) throws -> RAMBlock {
    try RAMBlock(idstr: idstr, usedLength: ByteCount(pages * 4096), pageSize: .fourKiB)
  }

  /// A q35 with 512 MiB, saved by QEMU 10.0.2: the bitmap is at 139, the pages are at 1 MiB.
  @Test func agreesWithAnImageOfQEMU() throws {
    let head: [UInt8] =
      ascii("QEVM") + be(UInt32(3)) + [7] + be(UInt32(11)) + ascii("pc-q35-10.0")
      + [5, 0x1A] + ascii("configuration/capabilities") + be(UInt32(1))
      + be(UInt32(1)) + [0x0A] + ascii("mapped-ram")
      + [1] + be(UInt32(1)) + [3] + ascii("ram") + be(UInt32(0)) + be(UInt32(4))
    #expect(Self.q35.encoded(at: .zero).bytes == head)

    let layout = try ImageLayout(prologue: Self.q35, blocks: [block("pc.ram", pages: 131_072)])
    #expect(layout.blockList == FileOffset(UInt64(head.count)))
    #expect(layout.blocks[0].entry == 96)
    #expect(layout.blocks[0].bitmap == 139..<16523)
    #expect(layout.blocks[0].pages == 0x10_0000..<0x2010_0000)
    #expect(layout.listEnd == 0x2010_0000)
    #expect(layout.tail == 0x2010_000D)
  }

  /// `migrate file:PATH,offset=4096`, 128 MiB: the bitmap is at 4235, the pages are still at 1 MiB.
  @Test func offsetsCountFromTheStartOfTheFile() throws {
    let layout = try ImageLayout(
      prologue: Self.q35, blocks: [block("pc.ram", pages: 32768)], streamOffset: 4096)
    #expect(layout.streamOffset == 4096)
    #expect(layout.blocks[0].bitmap?.lowerBound == 4235)
    #expect(layout.blocks[0].pages?.lowerBound == 0x10_0000)
  }

  @Test func withoutFootersTheTailFollowsTheWord() throws {
    var prologue = Self.q35
    prologue.hasFooters = false
    let layout = try ImageLayout(prologue: prologue, blocks: [block("pc.ram", pages: 1)])
    #expect(layout.tail - layout.listEnd == 8)
  }

  @Test func eachNameOccursOnce() throws {
    let blocks = try [block("a", pages: 1), block("b", pages: 1), block("a", pages: 2)]
    #expect(throws: FormatError(.duplicateBlock, at: 88, in: .ramBlock("a"))) {
      try ImageLayout(prologue: Self.q35, blocks: blocks)
    }
  }

  @Test func upTo4096BlocksAreLaidOut() throws {
    let blocks = try (0...4096).map { try block("block \($0)", pages: 1) }
    let layout = try ImageLayout(prologue: Self.q35, blocks: Array(blocks.prefix(4096)))
    #expect(layout.blocks.count == 4096)
    #expect(
      throws: FormatError(.overLimit(.blocks, found: 4097, limit: 4096), at: 88, in: .ramBlockList)
    ) {
      try ImageLayout(prologue: Self.q35, blocks: blocks)
    }
  }

  @Test(arguments: [0, 87, 88, 95, 96, 0x10_0000])
  func streamOffsetNearTheEndOf64BitsIsRefused(_ distance: UInt64) throws {
    let offset = UInt64.max - distance
    let blocks = try [block("pc.ram", pages: 1)]
    do throws(FormatError) {
      let layout = try ImageLayout(
        prologue: Self.q35, blocks: blocks, streamOffset: FileOffset(offset))
      Issue.record("\(layout)")
    } catch {
      #expect(error.kind == .numberOverflow)
    }
  }
}
