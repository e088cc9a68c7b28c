extension PageBitmap {
  /// A bitmap read from a file, and what stood where nothing should.
  public struct Parsed: Sendable {
    /// The bitmap.
    public var bitmap: PageBitmap
    /// Bits set past the last page: readers ignore them, QEMU writes none.
    public var strayBits: Int
  }

  /// Reads the bitmap of a block.
  ///
  /// - Throws: `truncated`, before anything is allocated.
  public static func parse(
    _ input: inout ByteInput, pageCount: Int, of idstr: String
  ) throws(FormatError) -> Parsed {
    let words = try input.readLittleEndianWords(
      wordCount(for: pageCount), in: .pageBitmap(idstr))
    let used = UInt64(pageCount & 63)
    let stray = used == 0 ? 0 : (words.last ?? 0) >> used
    return Parsed(
      bitmap: PageBitmap(pageCount: pageCount, words: words), strayBits: stray.nonzeroBitCount)
  }

  /// Appends the bitmap's bytes.
  public func encode(into output: inout ByteOutput) {
    for word in words { output.writeLittleEndian(word) }
  }
}
