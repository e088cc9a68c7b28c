/// Bytes of a file being made, and the place where they will stand.
public struct ByteOutput: Sendable {
  /// The bytes so far.
  public private(set) var bytes: [UInt8] = []

  /// Where the first byte will stand in the file.
  public let base: FileOffset

  /// Nothing yet, to stand at `base`.
  public init(at base: FileOffset = .zero) { self.base = base }

  /// The place in the file of the next byte.
  public var offset: FileOffset { base + ByteCount(bytes.count) }

  /// Appends an integer, most significant byte first.
  public mutating func writeBigEndian(_ value: some FixedWidthInteger) {
    for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Appends an integer, least significant byte first.
  public mutating func writeLittleEndian(_ value: some FixedWidthInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  /// Appends bytes as they are.
  public mutating func write(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// Appends a name with its length before it in one byte.
  ///
  /// - Precondition: the name has at most 255 bytes of UTF-8.
  public mutating func writeCountedName(_ name: String) {
    precondition(name.utf8.count <= ImageLimits.nameBytes, "a name has at most 255 bytes")
    bytes.append(UInt8(name.utf8.count))
    bytes.append(contentsOf: name.utf8)
  }
}
