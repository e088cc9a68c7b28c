/// Where everything up to the end of an image's block list stands: a pure function of the prologue and the blocks.
///
/// The writer lays out with it, and what a reader would refuse of prologue and blocks is refused here too; the reader, once it has
/// the blocks, makes the same layout and can compare.
package struct ImageLayout: Equatable, Sendable {
  /// The first byte of the stream: 0, or after something that is not ours.
  package let streamOffset: FileOffset
  /// The MEM_SIZE word that begins the block list.
  package let blockList: FileOffset
  /// A layout for each block, in the list's order.
  package let blocks: [BlockLayout]
  /// The EOS word behind the list; the footer, if there are footers, and the tail follow.
  package let listEnd: FileOffset
  /// The first byte after RAM's START section.
  package let tail: FileOffset

  /// Lays out an image.
  ///
  /// - Parameters:
  ///   - prologue: what stands before the block list.
  ///   - blocks: at least one block, each name once.
  ///   - streamOffset: where the stream begins.
  ///   - slots: where the slots of each block begin.
  /// - Throws: `duplicateBlock`, `overLimit`, `numberOverflow`; `pageSizeDiffers` from that of the configuration;
  ///   `ignoredBlockWithoutCapability`; what is wrong with the configuration.
  package init(
    prologue: StreamPrologue, blocks: [RAMBlock], streamOffset: FileOffset = .zero,
    slots: SlotLayout = .qemu
  ) throws(FormatError) {
    self.streamOffset = streamOffset
    let context = FormatError.Context.ramBlockList
    try prologue.configuration.check(at: streamOffset)
    let headBytes = ByteCount(prologue.encoded(at: .zero).bytes.count)
    guard let blockList = streamOffset.adding(headBytes),
      let firstEntry = blockList.adding(ByteCount(RAMWord.byteCount))
    else { throw FormatError(.numberOverflow, at: streamOffset, in: context) }
    self.blockList = blockList
    guard blocks.count <= ImageLimits.blocks else {
      throw FormatError(
        .overLimit(.blocks, found: UInt64(blocks.count), limit: UInt64(ImageLimits.blocks)),
        at: blockList, in: context)
    }
    var names: Set<String> = []
    for block in blocks where !names.insert(block.idstr).inserted {
      throw FormatError(.duplicateBlock, at: blockList, in: .ramBlock(block.idstr))
    }
    try Self.check(blocks, in: prologue.configuration, at: blockList)
    let form = RAMBlockEntry.Form(prologue.configuration)
    var layouts: [BlockLayout] = []
    var next = firstEntry
    for block in blocks {
      let entryBytes = RAMBlockEntry.byteCount(of: block, form: form)
      guard let headerEnd = next.adding(entryBytes) else {
        throw FormatError(.numberOverflow, at: next, in: context)
      }
      let layout = try BlockLayout(of: block, entry: next, headerEnd: headerEnd, slots: slots)
      layouts.append(layout)
      next = layout.end
    }
    self.blocks = layouts
    listEnd = next
    let tailBytes = prologue.encodedListEnd(at: .zero).bytes.count
    guard let tail = next.adding(ByteCount(tailBytes)) else {
      throw FormatError(.numberOverflow, at: next, in: context)
    }
    self.tail = tail
  }

  /// Makes sure that an image with this configuration can have `blocks`, by themselves and together.
  private static func check(
    _ blocks: [RAMBlock], in configuration: Configuration, at offset: FileOffset
  ) throws(FormatError) {
    let pageSize = configuration.targetPageSize
    var sum = ByteCount.zero
    for block in blocks {
      let context = FormatError.Context.ramBlock(block.idstr)
      if block.isIgnored, !configuration.ignoresShared {
        throw FormatError(.ignoredBlockWithoutCapability, at: offset, in: context)
      }
      if let pageSize, block.pageSize != pageSize {
        throw FormatError(
          .pageSizeDiffers(found: block.pageSize, expected: pageSize), at: offset, in: context)
      }
      // No overflow: there are at most 2^12 blocks of at most 2^46 bytes each.
      sum += block.usedLength
    }
    guard sum <= ImageLimits.ramBytes else {
      throw FormatError(
        .overLimit(.ramBytes, found: sum.rawValue, limit: ImageLimits.ramBytes.rawValue),
        at: offset, in: .ramBlockList)
    }
  }
}

extension RAMBlockEntry {
  /// Bytes of the entry of `block` in a list of this form.
  package static func byteCount(of block: RAMBlock, form: Form) -> ByteCount {
    ByteCount(
      1 + block.idstr.utf8.count + 8 + (form.hasAddress ? 8 : 0)
        + (form.hasHeader ? MappedRAMHeader.byteCount : 0))
  }
}
