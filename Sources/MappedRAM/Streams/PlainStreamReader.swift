import LinuxIO
import MappedRAMFormat

/// Reads a plain stream, element after element.
struct PlainStreamReader {
  var cursor: StreamCursor
  /// What has been read.
  var stream: DeviceStateStream
  /// The page size that the caller knows.
  let pageSize: PageSize?
  /// Where each block stands in the list.
  var indices: [String: Int] = [:]
  /// The pages of all blocks, one block behind the other. One file: a stream may have thousands of blocks, and a process seldom that
  /// many descriptors.
  var memory: ImageFile?
  /// Where each block is in it, in the list's order.
  var starts: [UInt64] = []
  /// Which blocks have had a page.
  var blocksWithPages: Set<Int> = []
  /// The block of the last record.
  var lastBlock: String?

  init(_ cursor: StreamCursor, into stream: DeviceStateStream, pageSize: PageSize?) {
    self.cursor = cursor
    self.stream = stream
    self.pageSize = pageSize
  }

  /// Reads all of it.
  mutating func read() throws(ImageError) -> DeviceStateStream {
    try cursor.locateDescription()
    try StreamCursor.settle(&self, \.cursor) { (reader) throws(ImageError) in
      try reader.readElements()
    }
    finish()
    return stream
  }

  private mutating func readElements() throws(ImageError) {
    try readHead()
    cursor.pageSize = pageSize ?? stream.configuration?.targetPageSize
    let start = cursor.position
    stream.tailStart = start
    var hasRAM = false
    while true {
      try cursor.window.file.cancellation.check()
      guard cursor.position < cursor.window.end else {
        throw failure(.missingEndOfStream, at: cursor.position, in: .endOfStream)
      }
      let head = try cursor.nextHead()
      if head.startsRAM {
        guard !hasRAM else { throw failure(.ramSectionTwice, at: head.start, in: .sectionHeader) }
        hasRAM = true
        stream.preamble = try preamble(start..<head.start)
        try readBlockList(head)
        stream.ramSectionID = head.id ?? stream.ramSectionID
        stream.tailStart = cursor.position
      } else if isRAM(head) {
        cursor.position = head.bodyStart
        try readRecords(head)
      } else {
        try cursor.pass(head)
      }
      if case .endOfStream = head.element { break }
    }
    try cursor.readDescription()
  }

  /// Whether this is a PART or END of RAM.
  private func isRAM(_ head: StreamCursor.Head) -> Bool {
    switch head.element {
    case .part(let id), .end(let id): cursor.started[id]?.idstr == SectionIdentity.ram.idstr
    default: false
    }
  }

  private func failure(
    _ kind: FormatError.Kind, at offset: FileOffset, in context: FormatError.Context
  ) -> ImageError {
    cursor.window.failure(kind, at: offset, in: context)
  }

  private mutating func finish() {
    stream.sections = cursor.sections
    stream.description = cursor.description
    stream.hasFooters = cursor.hasFooters
    if let memory {
      for index in blocksWithPages {
        stream.blocks[index].contents = FilePages(
          writing: memory.file, startingAt: starts[index],
          byteCount: stream.blocks[index].usedLength.rawValue, startsZero: false)
      }
    }
    guard !stream.sections.contains(where: \.isRAM) else { return }
    // With an id of those that were passed over, a footer within a body would count where RAM is there too.
    let used = cursor.idsPassedOver.union(stream.sections.compactMap(\.id))
    // Ids are of 32 bits, sections at most 2^20 and the others 2^16, so one is free.
    while used.contains(stream.ramSectionID) { stream.ramSectionID += 1 }
  }

  /// Reads the header and the CONFIGURATION section, if the stream has them.
  private mutating func readHead() throws(ImageError) {
    let start = cursor.position
    let hasHeader = try cursor.window.parse(at: start, atMost: 4) { input in
      (0..<4).map { input.peek($0) } == [0x51, 0x45, 0x56, 0x4D]
    }.value
    guard hasHeader else {
      // A tail: RAM was started before it.
      cursor.startRAM(stream.ramSectionID)
      return
    }
    let configuration = try cursor.read(atMost: 1 << 17) {
      (input) throws(FormatError) -> Configuration? in
      _ = try StreamHeader(parsing: &input)
      guard input.peek() == SectionType.configuration.rawValue else { return nil }
      return try Configuration(parsing: &input)
    }
    if configuration?.isMappedRAM ?? false {
      throw failure(.notPlain, at: start, in: .configuration)
    }
    stream.configuration = configuration
  }

  private mutating func preamble(_ range: Range<FileOffset>) throws(ImageError) -> [UInt8] {
    let length = range.byteCount
    guard length <= ImageLimits.preambleBytes else {
      throw failure(
        .overLimit(
          .preambleBytes, found: length.rawValue, limit: ImageLimits.preambleBytes.rawValue),
        at: range.lowerBound, in: .sectionHeader)
    }
    return try cursor.window.bytes(range, in: .sectionHeader)
  }

  /// Reads RAM's START, whose head this is: the list of blocks, and pages.
  private mutating func readBlockList(_ head: StreamCursor.Head) throws(ImageError) {
    let total = try cursor.enterRAM(head)
    let pageSize = cursor.pageSize ?? cursor.description?.pageSize ?? .fourKiB
    cursor.pageSize = pageSize
    let form = RAMBlockEntry.Form(
      hasAddress: stream.configuration?.ignoresShared ?? false, hasHeader: false)
    var sum = ByteCount.zero
    while sum < total {
      let block = try readEntry(form, pageSize)
      indices[block.idstr] = stream.blocks.count
      stream.blocks.append(block)
      starts.append(sum.rawValue)
      // Each is at most 2^46, as the total is.
      sum += block.usedLength
    }
    guard sum == total else {
      throw failure(
        .totalMismatch(sum: sum, total: total), at: head.bodyStart, in: .ramBlockList)
    }
    try readRecords(head)
  }

  private mutating func readEntry(
    _ form: RAMBlockEntry.Form, _ pageSize: PageSize
  ) throws(ImageError) -> DeviceStateStream.Block {
    let start = cursor.position
    let entry = try cursor.read(atMost: RAMBlockEntry.maximumByteCount) {
      (input) throws(FormatError) in try RAMBlockEntry(parsing: &input, form: form)
    }
    guard indices[entry.idstr] == nil else {
      throw failure(.duplicateBlock, at: start, in: .ramBlock(entry.idstr))
    }
    guard indices.count < ImageLimits.blocks else {
      throw failure(
        .overLimit(
          .blocks, found: UInt64(indices.count + 1), limit: UInt64(ImageLimits.blocks)),
        at: start, in: .ramBlockList)
    }
    do throws(FormatError) {
      let block = try RAMBlock(
        idstr: entry.idstr, usedLength: entry.usedLength, pageSize: pageSize, at: start)
      return DeviceStateStream.Block(block: block, address: entry.address)
    } catch {
      throw .format(error, in: cursor.window.file.path)
    }
  }
}

extension PlainStreamReader {
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
    let byteCount = stream.blocks.reduce(.zero) { $0 + $1.usedLength }
    let file = try ImageFile(inMemory: "pages", byteCount: byteCount)
    memory = file
    return file
  }
}
