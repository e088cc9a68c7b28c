import LinuxIO
import MappedRAMFormat

/// Reads a plain stream, element after element.
struct DeviceStateReader {
  var reader: ImageReader
  /// The page size that the caller knows.
  let pageSize: PageSize?
  let cancellation: Cancellation
  /// Where each block stands in the list.
  var indices: [String: Int] = [:]
  /// The pages of all blocks, one block behind the other. One file: a stream may have thousands of blocks, and a process seldom that
  /// many descriptors.
  var memory: File?
  /// Where each block is in it, in the list's order.
  var starts: [UInt64] = []
  /// Which blocks have had a page.
  var blocksWithPages: Set<Int> = []
  /// The block of the last record.
  var lastBlock: String?

  init(reader: ImageReader, pageSize: PageSize?, cancellation: Cancellation) {
    self.reader = reader
    self.pageSize = pageSize
    self.cancellation = cancellation
  }

  /// Reads all of it into `stream`.
  mutating func read(_ stream: inout DeviceStateStream) throws(ImageError) {
    try reader.locateDescription()
    var state = (reader: self, stream: stream)
    try ImageReader.settle(&state, \.reader.reader) { (state) throws(ImageError) in
      try state.reader.readElements(&state.stream)
    }
    (self, stream) = state
    finish(&stream)
  }

  private mutating func readElements(_ stream: inout DeviceStateStream) throws(ImageError) {
    try readHead(&stream)
    reader.list.pageSize = pageSize ?? stream.configuration?.targetPageSize
    let start = reader.position
    stream.tailStart = start
    var hasRAM = false
    while true {
      try cancellation.check()
      let position = reader.position
      guard position < reader.window.end else {
        throw reader.window.failure(.missingEndOfStream, at: position, in: .endOfStream)
      }
      let (element, bodyStart) = try reader.scanner.head(&reader.window, at: position)
      switch element {
      case .start(let id, let identity) where identity.idstr == SectionIdentity.ram.idstr:
        guard !hasRAM else {
          throw reader.window.failure(.ramSectionTwice, at: position, in: .sectionHeader)
        }
        hasRAM = true
        try reader.checkRAM(identity, bodyStart: bodyStart)
        stream.preamble = try preamble(start..<position)
        try readBlockList(&stream, id: id, from: position, bodyStart: bodyStart)
        stream.ramSectionID = id
        stream.tailStart = reader.position
      case .part(let id), .end(let id):
        if reader.scanner.started[id]?.idstr == SectionIdentity.ram.idstr {
          try readRecords(&stream, element, id: id, from: position, bodyStart: bodyStart)
        } else {
          try scan(element, from: position, bodyStart: bodyStart)
        }
      default:
        try scan(element, from: position, bodyStart: bodyStart)
      }
      if case .endOfStream = element { break }
    }
    try reader.readDescription()
  }

  private func finish(_ stream: inout DeviceStateStream) {
    stream.sections = reader.scanner.sections
    stream.description = reader.scanner.description
    stream.hasFooters = reader.scanner.hasFooters
    if let memory {
      for index in blocksWithPages {
        stream.blocks[index].contents = FilePages(
          writing: memory, startingAt: starts[index],
          byteCount: stream.blocks[index].block.usedLength.rawValue, startsZero: false)
      }
    }
    guard !stream.sections.contains(where: \.isRAM) else { return }
    // With an id of those that were passed over, a footer within a body would count where RAM is there too.
    let used = reader.scanner.idsPassedOver.union(stream.sections.compactMap(\.id))
    // Ids are of 32 bits, sections at most 2^20 and the others 2^16, so one is free.
    while used.contains(stream.ramSectionID) { stream.ramSectionID += 1 }
  }

  private mutating func scan(
    _ element: StreamElement, from start: FileOffset, bodyStart: FileOffset
  ) throws(ImageError) {
    reader.position = try reader.scanner.scan(
      element, &reader.window, from: start, bodyStart: bodyStart)
  }

  /// Reads the header and the CONFIGURATION section, if the stream has them.
  private mutating func readHead(_ stream: inout DeviceStateStream) throws(ImageError) {
    let start = reader.position
    let hasHeader = try reader.window.parse(at: start, atMost: 4) { input in
      (0..<4).map { input.peek($0) } == [0x51, 0x45, 0x56, 0x4D]
    }.value
    guard hasHeader else {
      // A tail: RAM was started before it.
      reader.scanner.started[stream.ramSectionID] = .ram
      return
    }
    let (configuration, end) = try reader.window.parse(at: start, atMost: 1 << 17) {
      (input) throws(FormatError) -> Configuration? in
      _ = try StreamHeader(parsing: &input)
      guard input.peek() == SectionType.configuration.rawValue else { return nil }
      return try Configuration(parsing: &input)
    }
    if configuration?.isMappedRAM ?? false {
      throw reader.window.failure(.notPlain, at: start, in: .configuration)
    }
    stream.configuration = configuration
    reader.position = end
  }

  private mutating func preamble(_ range: Range<FileOffset>) throws(ImageError) -> [UInt8] {
    let length = range.byteCount
    guard length <= ImageLimits.preambleBytes else {
      throw reader.window.failure(
        .overLimit(
          .preambleBytes, found: length.rawValue, limit: ImageLimits.preambleBytes.rawValue),
        at: range.lowerBound, in: .sectionHeader)
    }
    return try reader.window.bytes(range, in: .sectionHeader)
  }

  private mutating func readBlockList(
    _ stream: inout DeviceStateStream, id: UInt32, from start: FileOffset, bodyStart: FileOffset
  ) throws(ImageError) {
    reader.position = bodyStart
    let total = try reader.readMemorySize()
    let pageSize = reader.list.pageSize ?? reader.scanner.description?.pageSize ?? .fourKiB
    reader.list.pageSize = pageSize
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
      throw reader.window.failure(
        .totalMismatch(sum: sum, total: total), at: bodyStart, in: .ramBlockList)
    }
    reader.scanner.started[id] = .ram
    try readRecords(
      &stream, .start(id: id, .ram), id: id, from: start, bodyStart: bodyStart)
  }

  private mutating func readEntry(
    _ form: RAMBlockEntry.Form, _ pageSize: PageSize
  ) throws(ImageError) -> DeviceStateStream.Block {
    let start = reader.position
    let (entry, end) = try reader.window.parse(
      at: start, atMost: RAMBlockEntry.maximumByteCount
    ) { (input) throws(FormatError) in try RAMBlockEntry(parsing: &input, form: form) }
    reader.position = end
    guard indices[entry.idstr] == nil else {
      throw reader.window.failure(.duplicateBlock, at: start, in: .ramBlock(entry.idstr))
    }
    guard indices.count < ImageLimits.blocks else {
      throw reader.window.failure(
        .overLimit(
          .blocks, found: UInt64(indices.count + 1), limit: UInt64(ImageLimits.blocks)),
        at: start, in: .ramBlockList)
    }
    do throws(FormatError) {
      let block = try RAMBlock(
        idstr: entry.idstr, usedLength: entry.usedLength, pageSize: pageSize, at: start)
      return DeviceStateStream.Block(block: block, address: entry.address)
    } catch {
      throw .format(error, in: reader.window.file.path)
    }
  }
}
