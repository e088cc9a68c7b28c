/// A cursor over bytes of a file that knows where in the file it stands.
///
/// Everything in the format is parsed from one of these, field by field, by width and byte order. A read that does not
/// fit throws and leaves the cursor where it was.
package struct ByteInput: ~Escapable {
  private let bytes: RawSpan
  private var position: Int
  private let base: FileOffset

  /// A cursor at the first of `bytes`, which stand at `base` in their file.
  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan, at base: FileOffset = .zero) {
    self.bytes = bytes
    self.base = base
    position = 0
  }

  /// A cursor at the first of `bytes`, which stand at `base` in their file.
  @_lifetime(copy bytes)
  package init(_ bytes: Span<UInt8>, at base: FileOffset = .zero) {
    // SAFETY: a span of `UInt8` has no padding, so all of its bytes are initialized.
    self.init(unsafe bytes.bytes, at: base)
  }

  /// The place in the file of the next byte.
  package var offset: FileOffset { base + ByteCount(position) }

  /// Bytes not read yet.
  package var remaining: Int { bytes.byteCount - position }

  /// Makes sure that `count` bytes are left.
  ///
  /// - Throws: `FormatError.Kind.truncated`.
  package func require(_ count: Int, in context: FormatError.Context) throws(FormatError) {
    precondition(count >= 0, "a count is not negative")
    guard count <= remaining else {
      throw FormatError(
        .truncated(needed: ByteCount(count), available: ByteCount(remaining)), at: offset,
        in: context)
    }
  }

  /// Reads a big-endian integer.
  package mutating func readBigEndian<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type = Value.self, in context: FormatError.Context
  ) throws(FormatError) -> Value {
    Value(bigEndian: try read(type, in: context))
  }

  /// Reads a little-endian integer.
  package mutating func readLittleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type = Value.self, in context: FormatError.Context
  ) throws(FormatError) -> Value {
    Value(littleEndian: try read(type, in: context))
  }

  private mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type, in context: FormatError.Context
  ) throws(FormatError) -> Value {
    let size = MemoryLayout<Value>.size
    try require(size, in: context)
    // SAFETY: `require` has proved that the bytes are there; an integer has no invalid bit pattern.
    let value = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: position, as: type)
    position += size
    return value
  }

  /// Reads `count` bytes.
  ///
  /// - Complexity: O(`count`); nothing is allocated before the bytes are known to be there.
  package mutating func readBytes(
    _ count: Int, in context: FormatError.Context
  ) throws(FormatError) -> [UInt8] {
    try require(count, in: context)
    // SAFETY: the bytes of the span live for the call, and are copied.
    let result = unsafe bytes.extracting(position..<position + count).withUnsafeBytes {
      unsafe [UInt8]($0)
    }
    position += count
    return result
  }

  /// Reads `count` words of 64 bits, little-endian.
  ///
  /// - Complexity: O(`count`), one copy; nothing is allocated before the bytes are known to be there.
  mutating func readLittleEndianWords(
    _ count: Int, in context: FormatError.Context
  ) throws(FormatError) -> [UInt64] {
    let byteCount = count * MemoryLayout<UInt64>.size
    try require(byteCount, in: context)
    // With a capacity of 0 the standard library would write to the empty array that all share (Swift 6.3.1).
    guard count > 0 else { return [] }
    var words = unsafe bytes.extracting(position..<position + byteCount).withUnsafeBytes { source in
      // SAFETY: `words` has room for as many bytes as `source` has, and all of them are filled; any bits are a word.
      unsafe [UInt64](unsafeUninitializedCapacity: count) { words, initialized in
        unsafe UnsafeMutableRawBufferPointer(words).copyMemory(from: source)
        initialized = count
      }
    }
    position += byteCount
    if UInt64(1).littleEndian != 1 {
      for index in words.indices { words[index] = UInt64(littleEndian: words[index]) }
    }
    return words
  }

  /// Passes over `count` bytes.
  package mutating func skip(_ count: Int, in context: FormatError.Context) throws(FormatError) {
    try require(count, in: context)
    position += count
  }

  /// The byte `distance` bytes ahead, or `nil` past the end.
  package func peek(_ distance: Int = 0) -> UInt8? {
    precondition(distance >= 0, "a cursor looks ahead")
    guard distance < remaining else { return nil }
    // SAFETY: position + distance is not negative, and below the byte count, by the guard.
    return unsafe bytes.unsafeLoad(fromByteOffset: position + distance, as: UInt8.self)
  }

  /// Reads a name of `count` bytes: printable ASCII, at least one byte.
  ///
  /// - Throws: `truncated`; `nameEmpty`; `nameNotPrintable`.
  package mutating func readName(
    _ count: Int, in context: FormatError.Context
  ) throws(FormatError) -> String {
    let before = self
    let start = offset
    guard count > 0 else { throw FormatError(.nameEmpty, at: start, in: context) }
    let bytes = try readBytes(count, in: context)
    guard bytes.allSatisfy({ (0x20...0x7e).contains($0) }) else {
      self = before
      throw FormatError(.nameNotPrintable(bytes), at: start, in: context)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Reads a name that has its length before it in one byte.
  package mutating func readCountedName(
    in context: FormatError.Context
  ) throws(FormatError) -> String {
    let before = self
    let count = try readBigEndian(UInt8.self, in: context)
    do throws(FormatError) {
      return try readName(Int(count), in: context)
    } catch {
      self = before
      throw error
    }
  }

  /// Where `pattern` first stands in the bytes that are left, counted from the next byte; `nil` if it does not.
  ///
  /// - Precondition: `pattern` is not empty.
  /// - Complexity: O(bytes left), eight at a time where the pattern's first byte is rare.
  package func firstIndex(of pattern: [UInt8]) -> Int? {
    precondition(!pattern.isEmpty, "something to look for")
    var start = 0
    while start + pattern.count <= remaining {
      guard let next = firstIndex(of: pattern[0], from: start) else { return nil }
      guard next + pattern.count <= remaining else { return nil }
      if pattern.indices.allSatisfy({ peek(next + $0) == pattern[$0] }) { return next }
      start = next + 1
    }
    return nil
  }

  /// Where `byte` first stands at `start` or after it, counted from the next byte.
  private func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let wanted = ones &* UInt64(byte)
    var index = start
    while index + 8 <= remaining {
      // SAFETY: position + index + 8 is not past the last byte; an integer has no invalid bit pattern.
      let word = unsafe bytes.unsafeLoadUnaligned(
        fromByteOffset: position + index, as: UInt64.self)
      // A byte of `other` is 0 where the word has the wanted one. The lowest bit that is left marks the first of these.
      let other = UInt64(littleEndian: word) ^ wanted
      let marks = (other &- ones) & ~other & (ones << 7)
      if marks != 0 { return index + marks.trailingZeroBitCount / 8 }
      index += 8
    }
    while index < remaining {
      if peek(index) == byte { return index }
      index += 1
    }
    return nil
  }
}
