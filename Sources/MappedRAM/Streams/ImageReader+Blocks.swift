import LinuxIO
import MappedRAMFormat

extension ImageReader {
  /// Reads the next entry of the block list; `nil` once the list has come to its end.
  mutating func nextBlock() throws(ImageError) -> ImageBlock? {
    guard list.sum < list.total else {
      try readListEnd()
      return nil
    }
    let start = position
    let form = list.form
    let entry = try cursor.read(atMost: RAMBlockEntry.maximumByteCount) {
      (input) throws(FormatError) in try RAMBlockEntry(parsing: &input, form: form)
    }
    let headerEnd = position
    guard let header = entry.header else { preconditionFailure("a mapped-ram image") }
    let block: RAMBlock
    let layout: BlockLayout
    do throws(FormatError) {
      block = try check(entry, header, at: start)
      layout = try BlockLayout(
        of: block, entry: start, headerEnd: headerEnd, pagesOffset: header.pagesOffset)
      try check(header, against: layout, of: block, headerEnd: headerEnd)
    } catch {
      throw .format(error, in: cursor.window.file.path)
    }
    cursor.position = layout.end
    return ImageBlock(block: block, layout: layout)
  }

  private mutating func check(
    _ entry: RAMBlockEntry, _ header: MappedRAMHeader, at start: FileOffset
  ) throws(FormatError) -> RAMBlock {
    let context = FormatError.Context.ramBlock(entry.idstr)
    let expected = cursor.pageSize ?? header.pageSize
    guard header.pageSize == expected else {
      throw FormatError(
        .pageSizeDiffers(found: header.pageSize, expected: expected), at: start, in: context)
    }
    if header.isIgnored, !list.form.hasAddress {
      throw FormatError(.ignoredBlockWithoutCapability, at: start, in: context)
    }
    let block = try RAMBlock(
      idstr: entry.idstr, usedLength: entry.usedLength, pageSize: header.pageSize,
      address: entry.address, isIgnored: header.isIgnored, at: start)
    guard list.names.insert(entry.idstr).inserted else {
      throw FormatError(.duplicateBlock, at: start, in: context)
    }
    guard list.names.count <= ImageLimits.blocks else {
      throw FormatError(
        .overLimit(
          .blocks, found: UInt64(list.names.count), limit: UInt64(ImageLimits.blocks)),
        at: start, in: .ramBlockList)
    }
    // Both are below 2^46, so the sum cannot overflow.
    let sum = list.sum + entry.usedLength
    guard sum <= list.total else {
      throw FormatError(.totalMismatch(sum: sum, total: list.total), at: start, in: .ramBlockList)
    }
    list.sum = sum
    cursor.pageSize = header.pageSize
    return block
  }

  private func check(
    _ header: MappedRAMHeader, against layout: BlockLayout, of block: RAMBlock,
    headerEnd: FileOffset
  ) throws(FormatError) {
    let field = FileOffset(headerEnd.rawValue - 16)
    guard let bitmap = layout.bitmap, let pages = layout.pages else { return }
    guard header.bitmapOffset == bitmap.lowerBound else {
      throw FormatError(
        .bitmapOffset(found: header.bitmapOffset, expected: bitmap.lowerBound), at: field,
        in: .mappedRAMHeader(block.idstr))
    }
    for (range, context) in [
      (bitmap, FormatError.Context.pageBitmap(block.idstr)), (pages, .pages(block.idstr)),
    ] where range.upperBound > cursor.window.end {
      throw FormatError(
        .pastEndOfFile(end: range.upperBound, fileSize: cursor.window.end), at: range.lowerBound,
        in: context)
    }
  }

  /// Reads the bitmap of `block`.
  mutating func readBitmap(of block: ImageBlock) throws(ImageError) -> PageBitmap? {
    guard let parsed = try cursor.window.readBitmap(of: block) else { return nil }
    remark(parsed.strayBits, of: block)
    return parsed.bitmap
  }

  /// Counts the pages that are present in `block`; `nil` where it has no bitmap.
  mutating func countPages(of block: ImageBlock) throws(ImageError) -> Int? {
    guard let count = try cursor.window.countPages(of: block) else { return nil }
    remark(count.stray, of: block)
    return count.present
  }

  private mutating func remark(_ strayBits: Int, of block: ImageBlock) {
    guard strayBits > 0 else { return }
    cursor.remarks.append(.strayBits(idstr: block.idstr, count: strayBits))
  }

  /// Reads the word behind the last block, and the footer if sections have one.
  private mutating func readListEnd() throws(ImageError) {
    guard let section = list.section else { preconditionFailure("the list is in a section") }
    let start = position
    let word = try cursor.read(atMost: RAMWord.byteCount) { (input) throws(FormatError) in
      try RAMWord(parsing: &input, in: .ramBlockList)
    }
    guard word.isEndOfSection else {
      throw word.memorySize != nil
        ? failure(.secondBlockList, at: start, in: .ramBlockList)
        : failure(.ramFlags(found: word.flags), at: start, in: .ramBlockList)
    }
    try cursor.leaveRAM(section)
    if !cursor.hasFooters { cursor.remarks.append(.noFooters) }
  }
}
