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
  package static func parse(
    _ input: inout ByteInput, pageCount: Int, of idstr: String
  ) throws(FormatError) -> Parsed {
    try input.require(wordCount(for: pageCount) * 8, in: .pageBitmap(idstr))
    var reader = Reader(pageCount: pageCount)
    try reader.read(&input, of: idstr)
    return reader.finish()
  }

  /// A bitmap that is read in several parts, so that its bytes need not be in memory at once.
  public struct Reader: Sendable {
    private let pageCount: Int
    private var words: [UInt64] = []

    /// Nothing has been read of the bitmap of `pageCount` pages. Memory for all of it is reserved.
    public init(pageCount: Int) {
      self.pageCount = pageCount
      words.reserveCapacity(wordCount(for: pageCount))
    }

    /// Bytes that have still to be read.
    public var missingBytes: Int { (wordCount(for: pageCount) - words.count) * 8 }

    /// Reads the next words: all that `input` has, or that are missing. At least one.
    ///
    /// - Throws: `truncated`.
    package mutating func read(
      _ input: inout ByteInput, of idstr: String
    ) throws(FormatError) {
      let count = min(max(input.remaining / 8, 1), missingBytes / 8)
      words += try input.readLittleEndianWords(count, in: .pageBitmap(idstr))
    }

    /// The bitmap, all of which has been read.
    public consuming func finish() -> Parsed {
      precondition(missingBytes == 0, "all words have been read")
      let used = UInt64(pageCount & 63)
      let stray = used == 0 ? 0 : (words.last ?? 0) >> used
      return Parsed(
        bitmap: PageBitmap(pageCount: pageCount, words: words), strayBits: stray.nonzeroBitCount)
    }
  }

  /// Appends the bitmap's bytes.
  package func encode(into output: inout ByteOutput) { encode(words.indices, into: &output) }

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
