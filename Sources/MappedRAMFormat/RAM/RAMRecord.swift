/// What begins with a word in a RAM section of a plain stream, which has no mapped-ram headers: a page, or what is between pages.
///
/// | word | behind it |
/// | --- | --- |
/// | offset in the block \| PAGE (0x08) | idstr, with its length in one byte; the page |
/// | offset in the block \| ZERO (0x02) | idstr, as above; one byte, 0 |
/// | EOS (0x10) | nothing: the section's body ends |
/// | MULTIFD_FLUSH (0x200) | nothing |
///
/// With the flag CONTINUE (0x20) the idstr is left out: the block is that of the record before, also across sections. Of two
/// records of one page the later one counts; pages without a record are zero. Source: QEMU v10.0.2, `migration/ram.c`,
/// `RAM_SAVE_FLAG_*` and `ram_load_precopy`.
package enum RAMRecord: Equatable, Sendable {
  /// A page, whose bytes follow: its offset in the block, and the block, or `nil` for that of the record before.
  case page(offset: UInt64, idstr: String?)
  /// A page of zeros.
  case zero(offset: UInt64, idstr: String?)
  /// All pages sent before are to be in place: a source with multifd writes it.
  case flush
  /// The section's body ends.
  case endOfSection

  /// The most bytes that a record has before a page's own: a word, an idstr, a fill byte.
  package static let maximumByteCount = RAMWord.byteCount + 1 + ImageLimits.nameBytes + 1

  private static let zeroFlag: UInt64 = 0x02
  private static let pageFlag: UInt64 = 0x08
  private static let continueFlag: UInt64 = 0x20
  private static let flushFlag: UInt64 = 0x200

  /// Reads a record, but for the bytes of a page.
  ///
  /// - Throws: `truncated`; `ramRecordFlags`; `ramFillByte`; a name's errors.
  package init(
    parsing input: inout ByteInput, in context: FormatError.Context
  ) throws(FormatError) {
    let before = input
    do throws(FormatError) {
      self = try Self.parse(&input, context)
    } catch {
      input = before
      throw error
    }
  }

  private static func parse(
    _ input: inout ByteInput, _ context: FormatError.Context
  ) throws(FormatError) -> RAMRecord {
    let start = input.offset
    let word = try RAMWord(parsing: &input, in: context)
    if word.isEndOfSection { return .endOfSection }
    if word.flags == flushFlag { return .flush }
    let kind = word.flags & ~continueFlag
    guard kind == pageFlag || kind == zeroFlag else {
      throw FormatError(.ramRecordFlags(found: word.flags), at: start, in: context)
    }
    let isContinued = word.flags & continueFlag != 0
    let idstr = isContinued ? nil : try input.readCountedName(in: context)
    if kind == pageFlag { return .page(offset: word.address, idstr: idstr) }
    let fillOffset = input.offset
    let fill = try input.readBigEndian(UInt8.self, in: context)
    guard fill == 0 else {
      throw FormatError(.ramFillByte(found: fill), at: fillOffset, in: context)
    }
    return .zero(offset: word.address, idstr: idstr)
  }

  /// Appends the record's bytes, but for those of a page.
  ///
  /// - Precondition: an offset is a multiple of 1024, as pages' are.
  package func encode(into output: inout ByteOutput) {
    switch self {
    case .page(let offset, let idstr):
      Self.encode(offset, Self.pageFlag, idstr, into: &output)
    case .zero(let offset, let idstr):
      Self.encode(offset, Self.zeroFlag, idstr, into: &output)
      output.writeBigEndian(UInt8(0))
    case .flush:
      RAMWord(rawValue: Self.flushFlag).encode(into: &output)
    case .endOfSection:
      RAMWord.endOfSection.encode(into: &output)
    }
  }

  private static func encode(
    _ offset: UInt64, _ flag: UInt64, _ idstr: String?, into output: inout ByteOutput
  ) {
    let word = RAMWord(rawValue: offset | flag | (idstr == nil ? continueFlag : 0))
    precondition(word.address == offset, "the low bits are free for flags")
    word.encode(into: &output)
    if let idstr { output.writeCountedName(idstr) }
  }
}
