/// A sum of contents: 128 bits of XXH3.
///
/// It finds damage, not malice: who chooses the bytes on purpose can make two contents with one sum. By chance it happens to two of 2^32
/// once in 2^64 times. The bytes themselves are hashed elsewhere; here is what a file has of it.
public struct ContentSum: Hashable, Sendable {
  /// The upper half.
  public var high: UInt64
  /// The lower half.
  public var low: UInt64

  /// Bytes of a sum in a file: the upper half first, big-endian.
  package static let byteCount = 16

  /// A sum of its parts.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Reads a sum.
  package init(
    parsing input: inout ByteInput, in context: FormatError.Context
  ) throws(FormatError) {
    try input.require(Self.byteCount, in: context)
    high = try input.readBigEndian(in: context)
    low = try input.readBigEndian(in: context)
  }

  /// Appends the sum.
  package func encode(into output: inout ByteOutput) {
    output.writeBigEndian(high)
    output.writeBigEndian(low)
  }
}

extension ContentSum: CustomStringConvertible {
  /// 32 hexadecimal digits.
  public var description: String {
    [high, low].map { half in
      let digits = String(half, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }
}
