import LinuxIO
import MappedRAMFormat

/// Reads a plain stream, element after element.
struct DeviceStateReader {
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
          byteCount: stream.blocks[index].block.usedLength.rawValue, startsZero: false)
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
      indices[block.block.idstr] = stream.blocks.count
      stream.blocks.append(block)
      starts.append(sum.rawValue)
      // Each is at most 2^46, as the total is.
      sum += block.block.usedLength
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
