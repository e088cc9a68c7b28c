/// A word in a section of RAM: 8 bytes, big-endian; the low bits are flags, the rest is an address or a total.
///
/// Source: QEMU v10.0.2, `migration/ram.c`, `RAM_SAVE_FLAG_*`. In a mapped-ram file only MEM_SIZE (once) and EOS occur.
public struct RAMWord: Equatable, Sendable {
  /// The word as it stands in the file.
  public var rawValue: UInt64

  /// Bytes in the file.
  public static let byteCount = 8

  /// The word `rawValue`.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Ends a section's body.
  public static let endOfSection = RAMWord(rawValue: 0x10)

  /// Begins a block list of `total` bytes, a multiple of the page size.
  public static func memorySize(_ total: ByteCount) -> RAMWord {
    RAMWord(rawValue: total.rawValue | memorySizeFlag)
  }

  private static let memorySizeFlag: UInt64 = 0x04
  /// Pages are at least 1 KiB, so ten bits are free for flags.
  private static let flagBits: UInt64 = 0x3FF

  /// The flags.
  public var flags: UInt64 { rawValue & Self.flagBits }

  /// The address: an offset in a block, or a total.
  public var address: UInt64 { rawValue & ~Self.flagBits }

  /// The total of a MEM_SIZE word, or `nil` if this is none.
  public var memorySize: ByteCount? {
    flags == Self.memorySizeFlag ? ByteCount(address) : nil
  }

  /// Whether this word ends the section; its address means nothing then.
  public var isEndOfSection: Bool { flags == 0x10 }

  /// Reads a word.
  ///
  /// - Throws: `truncated`.
  package init(
    parsing input: inout ByteInput, in context: FormatError.Context
  ) throws(FormatError) {
    rawValue = try input.readBigEndian(in: context)
  }

  /// Appends the word's bytes.
  package func encode(into output: inout ByteOutput) { output.writeBigEndian(rawValue) }
}
