/// What a RAMBlock is, apart from where a file keeps it.
public struct RAMBlock: Equatable, Sendable {
  /// The block's name, 1 to 255 printable bytes.
  public let idstr: String
  /// Bytes in use; a multiple of the page size, never 0.
  public let usedLength: ByteCount
  /// The size of the target's pages.
  public let pageSize: PageSize
  /// The address of the block's memory region; only in images with the capability `x-ignore-shared`.
  public let address: UInt64?
  /// Whether the block's memory is shared with others and left out of the image.
  public let isIgnored: Bool

  /// A block of its parts.
  ///
  /// - Throws: `nameEmpty`, `nameNotPrintable`, `usedLengthZero`, `usedLengthUnaligned`, `overLimit`; the offset is
  ///   `offset`.
  public init(
    idstr: String, usedLength: ByteCount, pageSize: PageSize, address: UInt64? = nil,
    isIgnored: Bool = false, at offset: FileOffset = .zero
  ) throws(FormatError) {
    func fail(_ kind: FormatError.Kind) -> FormatError {
      FormatError(kind, at: offset, in: .ramBlock(idstr))
    }
    try idstr.checkName(at: offset, in: .ramBlock(idstr))
    guard usedLength > .zero else { throw fail(.usedLengthZero) }
    guard usedLength <= ImageLimits.ramBytes else {
      throw fail(
        .overLimit(
          .ramBytes, found: usedLength.rawValue, limit: ImageLimits.ramBytes.rawValue))
    }
    guard let pages = pageSize.pages(in: usedLength) else {
      throw fail(.usedLengthUnaligned(found: usedLength.rawValue, pageSize: pageSize))
    }
    self.idstr = idstr
    self.usedLength = usedLength
    self.pageSize = pageSize
    self.address = address
    self.isIgnored = isIgnored
    pageCount = pages
  }

  /// Pages in the block.
  public let pageCount: Int

  /// Whether `other` has the same name and as many pages of the same size.
  package func hasSamePages(as other: RAMBlock) -> Bool {
    idstr == other.idstr && usedLength == other.usedLength && pageSize == other.pageSize
  }

  /// Bytes of the block's bitmap in the file: a bit for each page, in whole words of 8 bytes.
  public var bitmapBytes: ByteCount { ByteCount((pageCount + 63) / 64 * 8) }
}
