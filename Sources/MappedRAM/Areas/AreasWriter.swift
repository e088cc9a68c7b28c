import LinuxIO
import MappedRAMFormat

/// Writes what stands behind a stream: the areas, one behind the other, and what closes them.
struct AreasWriter {
  private let file: ImageFile
  /// Where the stream ends.
  private let start: FileOffset
  /// The text of the stream's description.
  private let text: [UInt8]?
  /// Whether the first eight bytes are written last, as zeros until then: readers take that for no area.
  private let isRevealedLast: Bool
  /// Where what has been written so far ends.
  private(set) var end: FileOffset
  private var magic: [UInt8] = []

  /// A writer of areas in `file`, behind a stream that ends at `start`, whose description has the text `text`.
  ///
  /// - Parameter end: where areas end that are there already.
  init(
    _ file: ImageFile, behindStream start: FileOffset, text: [UInt8]?, end: FileOffset? = nil,
    isRevealedLast: Bool = false
  ) {
    precondition(end == nil || !isRevealedLast, "what is there is not hidden")
    self.file = file
    self.start = start
    self.text = text
    self.end = end ?? start
    self.isRevealedLast = isRevealedLast
  }

  /// Writes the table of devices whose buffers are there.
  mutating func write(_ devices: DeviceArea) throws(ImageError) {
    try write(devices.encoded())
  }

  /// Writes what the image is of.
  mutating func write(_ facts: ImageFacts) throws(ImageError) {
    try write(facts.encoded(at: end))
  }

  private mutating func write(
    _ area: (header: ByteOutput, table: ByteOutput)
  ) throws(ImageError) {
    try makeRoom(upTo: area.table.offset)
    try file.write(area.table)
    try take(area.header, end: area.table.offset)
  }

  /// Writes the sums of the blocks of `image`, which is this one: those that are known of each block's chunks.
  ///
  /// - Parameter overlay: the stream's first bytes, where they are not in the file yet.
  mutating func write(
    _ sums: [BlockSums?], _ bitmaps: [PageBitmap?], of image: Image, overlay: ByteOutput? = nil
  ) throws(ImageError) {
    let writer = SumsWriter(file: file, image: image, overlay: overlay)
    try makeRoom(upTo: end + writer.entryBytes(bitmaps))
    let header = try writer.write(at: end, bitmaps: bitmaps, sums: sums)
    try take(header.encoded, end: header.range.upperBound)
  }

  private mutating func take(_ header: ByteOutput, end: FileOffset) throws(ImageError) {
    var bytes = header.bytes
    if isRevealedLast, header.base == start {
      magic = Array(bytes.prefix(AreaHeader.magicByteCount))
      bytes.replaceSubrange(..<magic.count, with: repeatElement(0, count: magic.count))
    }
    try file.write(bytes, at: header.base)
    self.end = end
  }

  /// Writes what closes the areas, and cuts the file behind it.
  ///
  /// - Returns: where the image ends.
  mutating func close() throws(ImageError) -> FileOffset {
    var closing = ByteOutput(at: end)
    AreaClosing(firstArea: start, text: text).encode(into: &closing)
    try makeRoom(upTo: closing.offset)
    if file.kind == .regular { try file.truncate(to: closing.offset) }
    try file.write(closing)
    return closing.offset
  }

  /// Makes all that was written durable, and then areas of it.
  func reveal() throws(ImageError) {
    precondition(isRevealedLast, "they are there")
    try file.sync()
    try file.write(magic, at: start)
    try file.sync()
  }

  /// Makes sure that a device has room up to `end`; a file grows.
  private func makeRoom(upTo end: @autoclosure () -> FileOffset) throws(ImageError) {
    guard file.kind == .blockDevice else { return }
    let end = end()
    let found = try file.end()
    guard end <= found else {
      throw .target(.tooSmall(file.path, found: found.rawValue, needed: end.rawValue))
    }
  }
}
