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
    let count = wordCount(for: pageCount)
    try input.require(count * 8, in: .pageBitmap(idstr))
    var words: [UInt64] = []
    words.reserveCapacity(count)
    for _ in 0..<count { words.append(try input.readLittleEndian(in: .pageBitmap(idstr))) }
    let all = words.reduce(0) { $0 + $1.nonzeroBitCount }
    let bitmap = PageBitmap(pageCount: pageCount, words: words)
    return Parsed(bitmap: bitmap, strayBits: all - bitmap.population)
  }

  /// Appends the bitmap's bytes.
  public func encode(into output: inout ByteOutput) {
    for word in words { output.writeLittleEndian(word) }
  }
}
