/// What is wrong with the bytes of an image, and where.
///
/// The message (`description`) is made in `FormatError+Description.swift`; it does not name the file, which the
/// format does not know.
public struct FormatError: Error, Equatable, Sendable {
  /// What was found and what was expected.
  public var kind: Kind
  /// The first byte that is wrong.
  public var offset: FileOffset
  /// The structure that was being read.
  public var context: Context

  /// An error of `kind` at `offset`, met while reading `context`.
  package init(_ kind: Kind, at offset: FileOffset, in context: Context) {
    self.kind = kind
    self.offset = offset
    self.context = context
  }

  /// What is wrong.
  public enum Kind: Equatable, Sendable {
    // Anything
    case truncated(needed: ByteCount, available: ByteCount)
    case overLimit(Limit, found: UInt64, limit: UInt64)
    case numberOverflow
    case nameEmpty
    case nameNotPrintable([UInt8])
    // The stream's head
    case notAStream(found: [UInt8], looksLike: ForeignFormat?)
    case unsupportedStreamVersion(found: UInt32)
    case missingConfiguration(found: UInt8)
    case unknownConfigurationSubsection(String)
    case unsupportedSubsectionVersion(found: UInt32)
    case targetPageBits(found: UInt32)
    case uuidLength(found: Int)
    case notMappedRAM
    case notPlain
    // Sections
    case unknownSectionType(UInt8)
    case misplacedSection(SectionType)
    case unknownCommand(UInt16)
    case commandLength(Command.Code, found: Int, expected: [Int])
    case missingFooter(found: UInt8)
    case footerMismatch(found: UInt32, expected: UInt32)
    case unknownSectionID(UInt32)
    case sectionLengthUnknown(SectionSearch)
    case missingRAMSection
    case ramSectionTwice
    case ramSectionVersion(found: UInt32)
    case ramSectionInstance(found: UInt32)
    // The block list
    case ramFlags(found: UInt64)
    case secondBlockList
    case duplicateBlock
    case usedLengthZero
    case usedLengthUnaligned(found: UInt64, pageSize: PageSize)
    case totalMismatch(sum: ByteCount, total: ByteCount)
    case mappedRAMVersion(found: UInt32)
    case pageSize(found: UInt64)
    case pageSizeDiffers(found: PageSize, expected: PageSize)
    case bitmapOffset(found: FileOffset, expected: FileOffset)
    case pagesUnaligned(found: FileOffset, alignment: PageSize)
    case pagesBeforeBitmapEnd(found: FileOffset, bitmapEnd: FileOffset)
    case pastEndOfFile(end: FileOffset, fileSize: FileOffset)
    case ignoredBlockWithoutCapability
    // Records of pages
    case ramRecordFlags(found: UInt64)
    case ramFillByte(found: UInt8)
    case recordWithoutBlock
    case unlistedBlock
    case pageOutsideBlock(offset: UInt64, usedLength: ByteCount)
    // The end
    case incompleteSave
    case missingEndOfStream
    case description(JSONProblem)
    case descriptionShape(path: String, expected: String)
    case descriptionElsewhere(found: FileOffset?, expected: FileOffset?)
    // What stands behind the stream
    case area(AreaProblem)
    case deviceArea(DeviceAreaProblem)
    case facts(FactsProblem)
    case sums(SumsProblem)
    // libvirt's container
    case libvirtIncomplete
    case libvirtVersion(found: UInt32)
    case libvirtFormat(found: UInt32)
    case libvirtDataLength(found: UInt32)
    case libvirtCookieOffset(found: UInt32, dataLength: UInt32)
    case libvirtTextNotTerminated
  }

  /// A limit of `ImageLimits`.
  public enum Limit: Equatable, Sendable {
    case nameBytes, blocks, ramBytes, capabilities, descriptionBytes, descriptionValues, sections
    case preambleBytes
    case libvirtDataBytes
    case devices, deviceBuffers, deviceBufferBytes, areaTableBytes, spans, factsBytes
  }

  /// Where the search for the end of a section ended in vain.
  public enum SectionSearch: Equatable, Sendable {
    /// At the end of the file, which has no description.
    case endOfFile
    /// At the description, which does not have the section.
    case description
    /// After as many bytes as are searched.
    case limit(ByteCount)
  }

  /// The structure in which an error was met.
  public enum Context: Equatable, Sendable {
    case streamHeader
    case configuration
    case sectionHeader
    case section(String)
    case command
    case ramBlockList
    case ramBlock(String)
    case mappedRAMHeader(String)
    case pageBitmap(String)
    case pages(String)
    case endOfStream
    case description
    case libvirtHeader
    case libvirtData
    case areas
    case area(AreaKind)
    case device(DeviceIdentity)
  }
}
