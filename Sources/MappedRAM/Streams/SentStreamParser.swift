package import MappedRAMFormat

/// The stream of a background snapshot, taken apart as its bytes come: what is RAM's counts, and of that the pages.
///
/// Before RAM's START, which is searched for, stand the header, the configuration and what few devices send early. What follows RAM is
/// passed over: it is the device state. (Source: QEMU v10.0.2, `migration/migration.c`, `bg_migration_thread`.)
package struct SentStreamParser {
  /// Where a page belongs.
  package struct Place: Equatable {
    /// The block, as the plan counts them.
    package var block: Int
    /// The page in it.
    package var page: Int
  }

  /// How far the stream is.
  private enum Stage: Equatable {
    case beforeRAM
    case blockList(id: UInt32, left: ByteCount)
    case records(id: UInt32, of: SectionType)
    case footer(id: UInt32, of: SectionType)
    case elements(id: UInt32)
    case afterRAM
  }

  private var stage = Stage.beforeRAM
  /// Bytes that have been taken so far.
  private(set) var position = FileOffset.zero
  /// Whether a PART has begun: pages are sent before they change from then on.
  package private(set) var hasBegun = false
  /// Whether all pages have been sent.
  package var isComplete: Bool { stage == .afterRAM }

  private let blocks: [RAMBlock]
  private let indices: [String: Int]
  private let total: ByteCount
  private var listed: Set<Int> = []
  private var hasFooters = false
  private var lastBlock: Int?

  /// The most bytes that may stand before RAM: a virtio-mem device has a bitmap there.
  private static let leadLimit = 64 << 20
  private static let context = FormatError.Context.section(SectionIdentity.ram.idstr)

  /// A parser of a stream with the pages of `blocks`.
  package init(_ blocks: [RAMBlock]) {
    self.blocks = blocks
    indices = Dictionary(uniqueKeysWithValues: blocks.enumerated().map { ($1.idstr, $0) })
    total = blocks.reduce(.zero) { $0 + $1.usedLength }
  }

  /// Takes what is complete of `bytes`, which are the stream's next ones, and gives each page to `handle`, a zero page without bytes.
  ///
  /// - Returns: how many bytes were taken. The others are to be given again, with those that follow.
  /// - Throws: `FormatError` where this is no stream of such blocks.
  @unsafe
  package mutating func take(
    _ bytes: UnsafeRawBufferPointer, _ handle: (Place, UnsafeRawBufferPointer?) -> Void
  ) throws(FormatError) -> Int {
    var taken = 0
    while taken < bytes.count {
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken...])
      let count = try unsafe takeOne(rest, handle)
      guard count > 0 else { break }
      taken += count
      position = position + ByteCount(count)
    }
    return taken
  }

  /// Takes one element of the stream, or all records that are complete; 0 where it is not.
  private mutating func takeOne(
    _ bytes: UnsafeRawBufferPointer, _ handle: (Place, UnsafeRawBufferPointer?) -> Void
  ) throws(FormatError) -> Int {
    switch stage {
    case .beforeRAM: return try unsafe findStart(bytes)
    case .blockList(let id, let left):
      let entry = try unsafe parse(bytes) { (input) throws(FormatError) in
        try RAMBlockEntry(
          parsing: &input, form: RAMBlockEntry.Form(hasAddress: false, hasHeader: false))
      }
      guard let (entry, count) = entry else { return 0 }
      try note(entry)
      stage =
        left == entry.usedLength
        ? .records(id: id, of: .start) : .blockList(id: id, left: left - entry.usedLength)
      return count
    case .records(let id, let type): return try unsafe takeRecords(bytes, of: id, type, handle)
    case .footer(let id, let type):
      // The first section tells whether there are footers.
      if type == .start { hasFooters = unsafe bytes[0] == SectionType.footer.rawValue }
      guard hasFooters else {
        stage = type == .end ? .afterRAM : .elements(id: id)
        return try unsafe takeOne(bytes, handle)
      }
      let footer = try unsafe parse(bytes) { (input) throws(FormatError) in
        try SectionFooter(parsing: &input, of: id, in: Self.context)
      }
      guard let (_, count) = footer else { return 0 }
      stage = type == .end ? .afterRAM : .elements(id: id)
      return count
    case .elements(let id):
      let element = try unsafe parse(bytes) { (input) throws(FormatError) in
        try StreamElement(parsing: &input)
      }
      guard let (element, count) = element else { return 0 }
      switch element {
      case .command: break
      case .part(id), .end(id):
        hasBegun = true
        stage = .records(id: id, of: element.type)
      case .part(let other), .end(let other):
        throw FormatError(.unknownSectionID(other), at: position + 1, in: .sectionHeader)
      // The device state, which QEMU sends once all pages have been; RAM has no END here (observed: QEMU 10.0.2).
      case .full where hasBegun: stage = .afterRAM
      case .start, .full, .endOfStream:
        throw FormatError(.misplacedSection(element.type), at: position, in: .sectionHeader)
      }
      return count
    case .afterRAM: return bytes.count
    }
  }

  /// Looks for RAM's START. Its bytes and those of the list's total are as good as unique.
  private mutating func findStart(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> Int {
    var head = ByteOutput()
    StreamElement.start(id: 0, .ram).encode(into: &head)
    RAMWord.memorySize(total).encode(into: &head)
    // But for the type and the id.
    let pattern = Array(head.bytes.dropFirst(Self.idEnd))
    let input = unsafe ByteInput(RawSpan(_unsafeBytes: bytes), at: position)
    guard let index = input.firstIndex(of: pattern) else {
      guard position.rawValue < UInt64(Self.leadLimit) else {
        throw FormatError(.missingRAMSection, at: position, in: .sectionHeader)
      }
      return max(0, bytes.count - head.bytes.count)
    }
    guard index >= Self.idEnd, unsafe bytes[index - Self.idEnd] == SectionType.start.rawValue else {
      return index + 1
    }
    var id = unsafe ByteInput(
      RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[(index - 4)...])))
    stage = .blockList(id: try id.readBigEndian(in: .sectionHeader), left: total)
    return index + pattern.count
  }

  /// The bytes of a START before its name.
  private static let idEnd = 5

  private mutating func note(_ entry: RAMBlockEntry) throws(FormatError) {
    guard let index = indices[entry.idstr] else {
      throw FormatError(.unlistedBlock, at: position, in: .ramBlock(entry.idstr))
    }
    guard blocks[index].usedLength == entry.usedLength else {
      throw FormatError(
        .totalMismatch(sum: entry.usedLength, total: blocks[index].usedLength), at: position,
        in: .ramBlock(entry.idstr))
    }
    guard listed.insert(index).inserted else {
      throw FormatError(.duplicateBlock, at: position, in: .ramBlock(entry.idstr))
    }
  }

  private mutating func takeRecords(
    _ bytes: UnsafeRawBufferPointer, of id: UInt32, _ type: SectionType,
    _ handle: (Place, UnsafeRawBufferPointer?) -> Void
  ) throws(FormatError) -> Int {
    var input = unsafe ByteInput(RawSpan(_unsafeBytes: bytes), at: position)
    var taken = 0
    do throws(FormatError) {
      while true {
        let start = input.offset
        switch try RAMRecord(parsing: &input, in: Self.context) {
        case .endOfSection:
          stage = .footer(id: id, of: type)
          return bytes.count - input.remaining
        case .flush: break
        case .zero(let offset, let idstr):
          handle(try place(offset, idstr, at: start), nil)
        case .page(let offset, let idstr):
          let place = try place(offset, idstr, at: start)
          let first = bytes.count - input.remaining
          let count = blocks[place.block].pageSize.byteCount
          try input.skip(count, in: Self.context)
          unsafe handle(
            place, UnsafeRawBufferPointer(rebasing: bytes[first..<(first + count)]))
        }
        taken = bytes.count - input.remaining
      }
    } catch {
      guard case .truncated = error.kind else { throw error }
      return taken
    }
  }

  private mutating func place(
    _ offset: UInt64, _ idstr: String?, at position: FileOffset
  ) throws(FormatError) -> Place {
    if let idstr {
      guard let index = indices[idstr] else {
        throw FormatError(.unlistedBlock, at: position, in: .ramBlock(idstr))
      }
      lastBlock = index
    }
    guard let lastBlock else {
      throw FormatError(.recordWithoutBlock, at: position, in: Self.context)
    }
    let block = blocks[lastBlock]
    guard offset % UInt64(block.pageSize.byteCount) == 0, offset < block.usedLength.rawValue else {
      throw FormatError(
        .pageOutsideBlock(offset: offset, usedLength: block.usedLength), at: position,
        in: .ramBlock(block.idstr))
    }
    return Place(block: lastBlock, page: Int(offset >> UInt64(block.pageSize.shift)))
  }

  /// What `body` reads of `bytes`, and how many bytes that was; `nil` where they are not all there yet.
  private func parse<Value>(
    _ bytes: UnsafeRawBufferPointer, _ body: (inout ByteInput) throws(FormatError) -> Value
  ) throws(FormatError) -> (Value, Int)? {
    var input = unsafe ByteInput(RawSpan(_unsafeBytes: bytes), at: position)
    do throws(FormatError) {
      let value = try body(&input)
      return (value, bytes.count - input.remaining)
    } catch {
      if case .truncated = error.kind { return nil }
      throw error
    }
  }
}
