import MappedRAMFormat
import TestSupport
import Testing

@Suite("Layouts of random images") struct ImageLayoutPropertyTests {
  struct Plan {
    var prologue: StreamPrologue
    var blocks: [RAMBlock]
    var streamOffset: FileOffset
  }

  private func plan(_ random: inout SeededGenerator) throws -> Plan {
    let shared = Bool.random(using: &random)
    let names = (shared ? ["x-ignore-shared"] : []) + ["mapped-ram"]
    let shift = UInt64.random(in: 10...16, using: &random)
    let pageSize = try #require(PageSize(byteCount: 1 << shift))
    let blocks = try (0..<Int.random(in: 1...9, using: &random)).map { index in
      let pages = Int.random(in: 1...(index == 0 ? 3_000_000 : 300), using: &random)
      return try RAMBlock(
        idstr: String(repeating: "n", count: index + 1),
        usedLength: ByteCount(pageSize.bytes(inPages: pages)), pageSize: pageSize,
        address: shared ? random.next() : nil,
        isIgnored: shared && Bool.random(using: &random))
    }
    let configuration = Configuration(machineType: "pc", subsections: [.capabilities(names)])
    return Plan(
      prologue: StreamPrologue(
        configuration: configuration,
        preamble: random.bytes(Int.random(in: 0...40, using: &random)),
        ramSectionID: UInt32.random(in: 0...9, using: &random),
        hasFooters: Bool.random(using: &random)),
      blocks: blocks, streamOffset: FileOffset(UInt64.random(in: 0...5_000_000, using: &random)))
  }

  @Test(arguments: SlotLayout.allCases)
  func regionsAreInOrderDisjointAndAligned(_ slots: SlotLayout) throws {
    var random = SeededGenerator()
    for _ in 0..<500 {
      let plan = try plan(&random)
      let layout = try ImageLayout(
        prologue: plan.prologue, blocks: plan.blocks, streamOffset: plan.streamOffset, slots: slots)
      let form = RAMBlockEntry.Form(plan.prologue.configuration)
      var end = plan.prologue.encoded(at: plan.streamOffset).offset
      #expect(layout.blockList == end)
      end = end + 8
      for (block, place) in zip(plan.blocks, layout.blocks) {
        #expect(place.entry == end)
        let headerEnd = end + RAMBlockEntry.byteCount(of: block, form: form)
        #expect((place.bitmap == nil) == block.isIgnored)
        if let bitmap = place.bitmap, let pages = place.pages {
          #expect(bitmap.lowerBound == headerEnd)
          #expect(bitmap.byteCount == block.bitmapBytes)
          #expect(bitmap.byteCount.rawValue * 8 >= UInt64(block.pageCount))
          let isHuge = slots == .hugePages && block.usedLength >= 0x20_0000 as ByteCount
          let alignment: UInt64 = isHuge ? 0x20_0000 : 0x10_0000
          #expect(pages.lowerBound.isAligned(to: alignment))
          #expect(!isHuge || place.fitsHugePages)
          #expect(pages.lowerBound >= bitmap.upperBound)
          #expect(pages.lowerBound - bitmap.upperBound < ByteCount(alignment))
          #expect(pages.byteCount == block.usedLength)
          #expect(place.end == pages.upperBound)
        } else {
          #expect(place.end == headerEnd)
        }
        end = place.end
      }
      #expect(layout.listEnd == end)
      #expect(layout.tail == end + (plan.prologue.hasFooters ? 13 : 8))
    }
  }

  /// A reader that follows the headers finds each block where the writer's layout has it.
  @Test(arguments: SlotLayout.allCases)
  func entriesLeadAReaderFromBlockToBlock(_ slots: SlotLayout) throws {
    var random = SeededGenerator()
    for _ in 0..<200 {
      let plan = try plan(&random)
      let layout = try ImageLayout(
        prologue: plan.prologue, blocks: plan.blocks, streamOffset: plan.streamOffset, slots: slots)
      let form = RAMBlockEntry.Form(plan.prologue.configuration)
      for (block, place) in zip(plan.blocks, layout.blocks) {
        let entry = RAMBlockEntry(
          idstr: block.idstr, usedLength: block.usedLength, address: block.address,
          header: place.header(pageSize: block.pageSize))
        let bytes = encoded { entry.encode(into: &$0) }
        let (read, headerEnd) = try parse(bytes, at: place.entry) { (input) throws(FormatError) in
          (try RAMBlockEntry(parsing: &input, form: form), input.offset)
        }
        #expect(read == entry)
        let header = try #require(read.header)
        #expect(header.isIgnored == block.isIgnored)
        let again = try BlockLayout(
          of: block, entry: place.entry, headerEnd: headerEnd, pagesOffset: header.pagesOffset)
        #expect(again == place)
      }
    }
  }
}
