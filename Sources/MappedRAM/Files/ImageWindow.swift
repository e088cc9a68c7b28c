import LinuxIO
import MappedRAMFormat

/// The part of an image that is being parsed: reads some 64 KiB at a time and never more than it was asked for beyond that.
struct ImageWindow {
  let file: ImageFile
  /// The first byte after the file, or after the part of it that is looked at.
  private(set) var end: FileOffset
  /// Bytes that are taken for those of the file at this place.
  private let overlay: ByteOutput?
  private var bytes: [UInt8] = []
  private var start: FileOffset = .zero

  /// Bytes that are read at least, so that small structures beside one another cost one call.
  static let readAhead = 64 << 10

  init(_ file: ImageFile, overlay: ByteOutput? = nil) throws(ImageError) {
    self.file = file
    self.overlay = overlay
    end = try file.end()
  }

  /// Lets the file end at `end` from now on, which is before its end.
  mutating func cut(at end: FileOffset) {
    precondition(end <= self.end, "a window is never made longer")
    self.end = end
    // What was read beyond is forgotten.
    bytes = []
  }

  /// Gives `body` a cursor at `offset` over the next `count` bytes, or fewer at the end of the file.
  ///
  /// - Returns: what `body` returned, and where its cursor stood then.
  mutating func parse<Value>(
    at offset: FileOffset, atMost count: Int,
    _ body: (inout ByteInput) throws(FormatError) -> Value
  ) throws(ImageError) -> (value: Value, end: FileOffset) {
    // A place past the end of the file has no bytes, and the end itself has none either.
    let offset = min(offset, end)
    try load(offset, count)
    let first = Int((offset - start).rawValue)
    let last = min(first + count, bytes.count)
    let span = unsafe bytes.span.bytes.extracting(first..<last)
    var input = ByteInput(span, at: offset)
    do throws(FormatError) {
      let value = try body(&input)
      return (value, input.offset)
    } catch {
      throw .format(error, in: file.path)
    }
  }

  /// Makes sure that `count` bytes at `offset`, or those before the end of the file, are in memory.
  private mutating func load(_ offset: FileOffset, _ count: Int) throws(ImageError) {
    let wanted = Int(min(UInt64(count), (end - offset).rawValue))
    if offset >= start, (offset - start).rawValue + UInt64(wanted) <= UInt64(bytes.count) { return }
    try file.cancellation.check()
    let most = Int(min(UInt64(max(wanted, Self.readAhead)), (end - offset).rawValue))
    bytes = try file.readUp(to: most, at: offset)
    start = offset
    if let overlay { place(overlay) }
  }

  private mutating func place(_ overlay: ByteOutput) {
    for (place, byte) in zip(overlay.base.rawValue..., overlay.bytes)
    where place >= start.rawValue && place - start.rawValue < UInt64(bytes.count) {
      bytes[Int(place - start.rawValue)] = byte
    }
  }
}

extension ImageWindow {
  /// An error in the file of this window.
  func failure(
    _ kind: FormatError.Kind, at offset: FileOffset, in context: FormatError.Context
  ) -> ImageError {
    .format(FormatError(kind, at: offset, in: context), in: file.path)
  }

  /// The byte at `offset`, or `nil` past the end of the file.
  mutating func peek(at offset: FileOffset) throws(ImageError) -> UInt8? {
    try parse(at: offset, atMost: 1) { $0.peek() }.value
  }

  /// The bytes of `range`, which the caller has held against a limit.
  mutating func bytes(
    _ range: Range<FileOffset>, in context: FormatError.Context
  ) throws(ImageError) -> [UInt8] {
    let count = Int(range.byteCount.rawValue)
    return try parse(at: range.lowerBound, atMost: count) { (input) throws(FormatError) in
      try input.readBytes(count, in: context)
    }.value
  }

  /// Reads the bitmap of `block`, 1 MiB at a time; `nil` where the block has none.
  ///
  /// - Complexity: memory of 2 MiB a 64 GiB of guest RAM; the bitmap lies inside the file, by the reader of the block list.
  mutating func readBitmap(of block: ImageBlock) throws(ImageError) -> PageBitmap.Parsed? {
    try block.layout.bitmap.map { (range) throws(ImageError) in
      try readBitmap(of: block.block, at: range)
    }
  }

  /// The same of a block whose bitmap stands at `range`.
  mutating func readBitmap(
    of block: RAMBlock, at range: Range<FileOffset>
  ) throws(ImageError) -> PageBitmap.Parsed {
    let idstr = block.idstr
    var bitmap = PageBitmap.Reader(pageCount: block.pageCount)
    var offset = range.lowerBound
    while bitmap.missingBytes > 0 {
      offset = try parse(at: offset, atMost: min(bitmap.missingBytes, ImageFile.chunkBytes)) {
        (input) throws(FormatError) in try bitmap.read(&input, of: idstr)
      }.end
    }
    return bitmap.finish()
  }

  /// Pages that are present in `block`, and bits of its bitmap that are set where nothing should be; `nil` where it has none. The bitmap is
  /// looked through in small parts, of which none is kept: to have 2 MiB of it in memory takes longer than to count its bits.
  mutating func countPages(of block: ImageBlock) throws(ImageError) -> (present: Int, stray: Int)? {
    guard let range = block.layout.bitmap else { return nil }
    let idstr = block.idstr
    var (present, stray, offset) = (0, 0, range.lowerBound)
    for first in stride(from: 0, to: block.pageCount, by: Self.readAhead * 8) {
      var part = PageBitmap.Reader(pageCount: min(block.pageCount - first, Self.readAhead * 8))
      while part.missingBytes > 0 {
        offset = try parse(at: offset, atMost: part.missingBytes) { (input) throws(FormatError) in
          try part.read(&input, of: idstr)
        }.end
      }
      let parsed = part.finish()
      present += parsed.bitmap.population
      stray += parsed.strayBits
    }
    return (present, stray)
  }
}
