import LinuxIO
import MappedRAMFormat

extension DeviceStateReader {
  /// Reads the records from the reader's position, or for PART and END from `bodyStart`, to the end of the section.
  mutating func readRecords(
    _ stream: inout DeviceStateStream, _ element: StreamElement, id: UInt32, from start: FileOffset,
    bodyStart: FileOffset
  ) throws(ImageError) {
    let context = FormatError.Context.section(SectionIdentity.ram.idstr)
    if element.type != .start { reader.position = bodyStart }
    records: while true {
      try cancellation.check()
      let position = reader.position
      let (record, end) = try reader.window.parse(
        at: position, atMost: RAMRecord.maximumByteCount
      ) { (input) throws(FormatError) in try RAMRecord(parsing: &input, in: context) }
      reader.position = end
      switch record {
      case .endOfSection: break records
      case .flush: continue
      case .page(let offset, let idstr):
        let (index, bytes) = try place(offset, idstr, at: position, in: stream)
        let page = try reader.window.bytes(
          end..<(end + ByteCount(UInt64(bytes.count))), in: context)
        reader.position = end + ByteCount(page.count)
        let file = try pages(of: stream)
        blocksWithPages.insert(index)
        try calling { () throws(SystemCallError) in
          try file.write(page, at: starts[index] + bytes.lowerBound)
        }
      case .zero(let offset, let idstr):
        let (index, bytes) = try place(offset, idstr, at: position, in: stream)
        // Only over an older record of the page.
        if let memory, blocksWithPages.contains(index) {
          let place = (starts[index] + bytes.lowerBound)..<(starts[index] + bytes.upperBound)
          try calling { () throws(SystemCallError) in try memory.punchHole(place) }
        }
      }
    }
    try endSection(element, id: id, from: start, bodyStart: bodyStart, context)
  }

  private mutating func endSection(
    _ element: StreamElement, id: UInt32, from start: FileOffset, bodyStart: FileOffset,
    _ context: FormatError.Context
  ) throws(ImageError) {
    let bodyEnd = reader.position
    if element.type == .start {
      reader.scanner.hasFooters =
        try reader.window.peek(at: bodyEnd) == SectionType.footer.rawValue
    }
    reader.position = try reader.scanner.endSection(
      &reader.window, at: bodyEnd, id: id, in: context)
    reader.scanner.sections.append(
      ImageSection(
        type: element.type, id: id, identity: .ram, offset: start, end: reader.position,
        body: bodyStart..<bodyEnd))
  }

  /// Where a record's page is: its block, and its bytes there.
  private mutating func place(
    _ offset: UInt64, _ idstr: String?, at position: FileOffset, in stream: DeviceStateStream
  ) throws(ImageError) -> (index: Int, bytes: Range<UInt64>) {
    let context = FormatError.Context.section(SectionIdentity.ram.idstr)
    guard let name = idstr ?? lastBlock else {
      throw reader.window.failure(.recordWithoutBlock, at: position, in: context)
    }
    lastBlock = name
    guard let index = indices[name] else {
      throw reader.window.failure(.unlistedBlock, at: position, in: .ramBlock(name))
    }
    let block = stream.blocks[index].block
    let count = UInt64(block.pageSize.byteCount)
    guard offset % count == 0, offset < block.usedLength.rawValue else {
      throw reader.window.failure(
        .pageOutsideBlock(offset: offset, usedLength: block.usedLength), at: position,
        in: .ramBlock(name))
    }
    return (index, offset..<(offset + count))
  }

  /// The file for the pages of all blocks of `stream`.
  private mutating func pages(of stream: DeviceStateStream) throws(ImageError) -> File {
    if let memory { return memory }
    // At most 2^46, as the total of the list is.
    let byteCount = stream.blocks.reduce(0) { $0 + $1.block.usedLength.rawValue }
    let file = try calling { () throws(SystemCallError) in
      try File.inMemory(name: "pages", byteCount: byteCount)
    }
    memory = file
    return file
  }
}
