import LinuxIO
import MappedRAMFormat

extension DeviceStateReader {
  /// Reads the records from here to the end of the section of RAM whose head this is.
  mutating func readRecords(_ head: StreamCursor.Head) throws(ImageError) {
    let context = FormatError.Context.section(SectionIdentity.ram.idstr)
    records: while true {
      try cursor.window.file.cancellation.check()
      let position = cursor.position
      let record = try cursor.read(atMost: RAMRecord.maximumByteCount) {
        (input) throws(FormatError) in try RAMRecord(parsing: &input, in: context)
      }
      switch record {
      case .endOfSection: break records
      case .flush: continue
      case .page(let offset, let idstr):
        let (index, bytes) = try place(offset, idstr, at: position)
        let end = cursor.position + ByteCount(UInt64(bytes.count))
        let page = try cursor.window.bytes(cursor.position..<end, in: context)
        cursor.position = end
        let file = try pages()
        blocksWithPages.insert(index)
        try file.write(page, at: FileOffset(starts[index] + bytes.lowerBound))
      case .zero(let offset, let idstr):
        let (index, bytes) = try place(offset, idstr, at: position)
        // Only over an older record of the page.
        if let memory, blocksWithPages.contains(index) {
          let start = FileOffset(starts[index])
          try memory.punch(
            (start + ByteCount(bytes.lowerBound))..<(start + ByteCount(bytes.upperBound)))
        }
      }
    }
    try cursor.leaveRAM(head)
  }

  /// Where a record's page is: its block, and its bytes there.
  private mutating func place(
    _ offset: UInt64, _ idstr: String?, at position: FileOffset
  ) throws(ImageError) -> (index: Int, bytes: Range<UInt64>) {
    let context = FormatError.Context.section(SectionIdentity.ram.idstr)
    guard let name = idstr ?? lastBlock else {
      throw cursor.window.failure(.recordWithoutBlock, at: position, in: context)
    }
    lastBlock = name
    guard let index = indices[name] else {
      throw cursor.window.failure(.unlistedBlock, at: position, in: .ramBlock(name))
    }
    let block = stream.blocks[index].block
    let count = UInt64(block.pageSize.byteCount)
    guard offset % count == 0, offset < block.usedLength.rawValue else {
      throw cursor.window.failure(
        .pageOutsideBlock(offset: offset, usedLength: block.usedLength), at: position,
        in: .ramBlock(name))
    }
    return (index, offset..<(offset + count))
  }

  /// The file for the pages of all blocks.
  private mutating func pages() throws(ImageError) -> ImageFile {
    if let memory { return memory }
    // At most 2^46, as the total of the list is.
    let byteCount = stream.blocks.reduce(.zero) { $0 + $1.block.usedLength }
    let file = try ImageFile(inMemory: "pages", byteCount: byteCount)
    memory = file
    return file
  }
}
