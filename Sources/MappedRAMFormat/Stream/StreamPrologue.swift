/// What stands in a stream before the block list: the stream header, the CONFIGURATION section, whatever came before RAM,
/// and the head of RAM's START section.
public struct StreamPrologue: Equatable, Sendable {
  /// What the destination must be like.
  public var configuration: Configuration
  /// Whole elements between the CONFIGURATION section and RAM, as they stand in the file: a POSTCOPY_ADVISE command, or
  /// sections of early devices. Empty in most images.
  public var preamble: [UInt8]
  /// The id of the RAM section; 1 in what QEMU writes on x86.
  public var ramSectionID: UInt32
  /// Whether sections end in a footer, as they do unless a machine's properties say otherwise.
  public var hasFooters: Bool

  /// A prologue of its parts.
  public init(
    configuration: Configuration, preamble: [UInt8] = [], ramSectionID: UInt32 = 1,
    hasFooters: Bool = true
  ) {
    self.hasFooters = hasFooters
    self.configuration = configuration
    self.preamble = preamble
    self.ramSectionID = ramSectionID
  }

  /// The bytes of the prologue, to stand at `offset`.
  package func encoded(at offset: FileOffset) -> ByteOutput {
    var output = ByteOutput(at: offset)
    StreamHeader().encode(into: &output)
    configuration.encode(into: &output)
    output.write(preamble)
    StreamElement.start(id: ramSectionID, .ram).encode(into: &output)
    return output
  }

  /// The bytes behind the block list, which end RAM's START section, to stand at `offset`.
  package func encodedListEnd(at offset: FileOffset) -> ByteOutput {
    var output = ByteOutput(at: offset)
    RAMWord.endOfSection.encode(into: &output)
    if hasFooters { SectionFooter(id: ramSectionID).encode(into: &output) }
    return output
  }
}
