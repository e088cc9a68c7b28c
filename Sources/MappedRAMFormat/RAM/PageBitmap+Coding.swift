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
    try parseWords(count, from: &input, into: &words, of: idstr)
    return Parsed(pageCount: pageCount, words: words)
  }

  /// Appends the next `count` words of a bitmap to `words`, for readers that take it in parts.
  package static func parseWords(
    _ count: Int, from input: inout ByteInput, into words: inout [UInt64], of idstr: String
  ) throws(FormatError) {
    for _ in 0..<count { words.append(try input.readLittleEndian(in: .pageBitmap(idstr))) }
  }

  /// Appends the bitmap's bytes.
  public func encode(into output: inout ByteOutput) { encode(words.indices, into: &output) }

  /// Appends the bytes of the words in `range`, for writers that give it out in parts.
  package func encode(_ range: Range<Int>, into output: inout ByteOutput) {
    for word in words[range] { output.writeLittleEndian(word) }
  }
}

extension PageBitmap.Parsed {
  /// The bitmap in `words`, all that there are.
  package init(pageCount: Int, words: [UInt64]) {
    let all = words.reduce(0) { $0 + $1.nonzeroBitCount }
    bitmap = PageBitmap(pageCount: pageCount, words: words)
    strayBits = all - bitmap.population
  }
}
