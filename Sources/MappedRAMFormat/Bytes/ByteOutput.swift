/// Bytes of a file being made, and the place where they will stand.
package struct ByteOutput: Sendable {
  /// The bytes so far.
  package private(set) var bytes: [UInt8] = []

  /// Where the first byte will stand in the file.
  package let base: FileOffset

  /// Nothing yet, to stand at `base`.
  package init(at base: FileOffset = .zero) { self.base = base }

  /// The place in the file of the next byte.
  package var offset: FileOffset { base + ByteCount(bytes.count) }

  /// Appends an integer, most significant byte first.
  package mutating func writeBigEndian(_ value: some FixedWidthInteger) {
    for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Appends an integer, least significant byte first.
  package mutating func writeLittleEndian(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Appends bytes as they are.
  package mutating func write(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// Appends a name with its length before it in one byte.
  ///
  /// - Precondition: the name has at most 255 bytes of UTF-8.
  package mutating func writeCountedName(_ name: String) {
    precondition(name.utf8.count <= ImageLimits.nameBytes, "a name has at most 255 bytes")
    bytes.append(UInt8(name.utf8.count))
    bytes.append(contentsOf: name.utf8)
  }
}

extension String {
  /// Makes sure that a file may have this as a name: 1 to 255 bytes of printable ASCII, as `ByteInput.readName` asks for.
  ///
  /// - Throws: `nameEmpty`, `overLimit`, `nameNotPrintable`.
  func checkName(at offset: FileOffset, in context: FormatError.Context) throws(FormatError) {
    let bytes = Array(utf8)
    guard !bytes.isEmpty else { throw FormatError(.nameEmpty, at: offset, in: context) }
    guard bytes.count <= ImageLimits.nameBytes else {
      throw FormatError(
        .overLimit(.nameBytes, found: UInt64(bytes.count), limit: UInt64(ImageLimits.nameBytes)),
        at: offset, in: context)
    }
    guard bytes.allSatisfy({ (0x20...0x7e).contains($0) }) else {
      throw FormatError(.nameNotPrintable(bytes), at: offset, in: context)
    }
  }
}
