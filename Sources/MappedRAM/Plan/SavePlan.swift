public import MappedRAMFormat
public import SystemPackage

/// What an image is to hold, and where everything in it will stand.
public struct SavePlan: Sendable {
  /// What stands before the block list.
  public let prologue: StreamPrologue
  /// The blocks, in the order of the list.
  public let blocks: [Block]
  /// What follows RAM's START section: the rest of the stream.
  public internal(set) var tail: [StreamBytes]
  /// The same without sections of devices that are saved beside RAM.
  let ownTail: [StreamBytes]
  /// What stands at the start of the file, before the stream: somebody else's bytes.
  public let prefix: StreamBytes?
  /// Where the slots of each block begin.
  public let slots: SlotLayout
  /// Where everything stands.
  package let layout: ImageLayout
  /// Whether the slot of each page that is absent stays a hole, as in an image that QEMU wrote. Otherwise short gaps between pages
  /// are written, as zeros, where that is faster; the file then takes up to twice the room.
  public let keepsHoles: Bool
  /// Whether the description may say of such gaps that they are zeros, so that nobody who maps the image need look (FORMAT.md, section
  /// 8.4). Without it, the image is byte for byte that of a save that keeps its holes.
  public let statesZeroSlots: Bool
  /// Whether the image is to have checksums, if nobody says otherwise: as one that was taken apart.
  public var hasChecksums = false
  /// The devices whose states are saved beside RAM.
  public internal(set) var devices: [DeviceSource] = []
  /// Where the bodies of those begin that are sections of the stream.
  var sectionBodies: [DeviceIdentity: FileOffset] = [:]
  /// How much of these states may be in memory.
  public var deviceLimits = DeviceLimits.standard
  /// What the image is of; `nil` for an image that does not say.
  public internal(set) var facts: ImageFacts?
  /// What errors are about.
  let path: FilePath

  /// A RAMBlock and its contents.
  public struct Block: Sendable {
    /// What it is.
    public var block: RAMBlock
    /// Its pages; `nil` for a block that is left out.
    public var pages: (any PageSource)?
    /// Pages that are to be written even where they are zero.
    public var presentZeros: PageBitmap?

    /// A block of its parts.
    public init(
      _ block: RAMBlock, pages: (any PageSource)?, presentZeros: PageBitmap? = nil
    ) {
      self.block = block
      self.pages = pages
      self.presentZeros = presentZeros
    }

    /// Its name.
    public var idstr: String { block.idstr }
    /// Bytes in use.
    public var usedLength: ByteCount { block.usedLength }
    /// The size of its pages.
    public var pageSize: PageSize { block.pageSize }
    /// How many pages it has.
    public var pageCount: Int { block.pageCount }
  }

  /// Plans an image.
  ///
  /// What a reader would refuse of anything but the tail is refused here, before a byte is written.
  ///
  /// - Parameters:
  ///   - prefix: what stands at the start of the file, before the stream; at most `streamOffset` bytes.
  ///   - streamOffset: where the stream begins.
  ///   - slots: where the slots of each block begin: as QEMU has them, or so that huge pages can map them.
  ///   - keepsHoles: whether the slot of each page that is absent stays a hole.
  ///   - statesZeroSlots: whether the description may say of slots that are none that they hold zeros.
  ///   - path: what errors are about.
  /// - Throws: `PlanError.noBlocks`; `.sourceSize`; `.mixedPageSizes`; `.prefixLength`; `FormatError` of `ImageLayout`, and of the
  ///   prologue; `notMappedRAM`; `numberOverflow` where the stream would end past 2^63 - 1, the most that a file can have.
  public init(
    prologue: StreamPrologue, blocks: [Block], tail: [StreamBytes], prefix: StreamBytes? = nil,
    streamOffset: FileOffset = .zero, slots: SlotLayout = .qemu, keepsHoles: Bool = false,
    statesZeroSlots: Bool = false, for path: FilePath
  ) throws(ImageError) {
    self.slots = slots
    self.keepsHoles = keepsHoles
    self.statesZeroSlots = statesZeroSlots
    self.path = path
    if let length = prefix?.byteCount.rawValue, length > streamOffset.rawValue {
      throw .plan(
        .prefixLength(path, found: length, streamOffset: streamOffset.rawValue))
    }
    guard let first = blocks.first else { throw .plan(.noBlocks) }
    for block in blocks {
      guard block.pageSize == first.pageSize else {
        throw .plan(
          .mixedPageSizes(
            block.idstr, found: block.pageSize, expected: first.pageSize))
      }
      guard let pages = block.pages, !block.block.isIgnored else { continue }
      let expected = block.usedLength.rawValue
      guard pages.byteCount == expected else {
        throw .plan(
          .sourceSize(path, idstr: block.idstr, found: pages.byteCount, expected: expected))
      }
    }
    do throws(FormatError) {
      layout = try ImageLayout(
        prologue: prologue, blocks: blocks.map(\.block),
        streamOffset: streamOffset, slots: slots)
      guard prologue.configuration.isMappedRAM else {
        throw FormatError(.notMappedRAM, at: streamOffset, in: .configuration)
      }
    } catch {
      throw .format(error, in: path)
    }
    if !prologue.preamble.isEmpty { try Self.check(prologue, at: streamOffset, path) }
    var end: FileOffset? = layout.tail
    for part in tail { end = end?.adding(part.byteCount) }
    guard let end, end.rawValue <= UInt64(Int64.max) else {
      throw .format(
        FormatError(.numberOverflow, at: streamOffset, in: .ramBlockList), in: path)
    }
    self.prologue = prologue
    self.blocks = blocks
    self.tail = tail
    ownTail = tail
    self.prefix = prefix
  }

  /// Reads the prologue as any reader would.
  private static func check(
    _ prologue: StreamPrologue, at streamOffset: FileOffset, _ path: FilePath
  ) throws(ImageError) {
    var head = prologue.encoded(at: .zero)
    RAMWord.memorySize(.zero).encode(into: &head)
    let file = try ImageFile(inMemory: "head", byteCount: ByteCount(head.bytes.count))
    try file.write(head)
    do throws(ImageError) {
      var reader = try ImageReader(file, streamOffset: .zero)
      let found = try reader.readPrologue()
      guard found.preamble == prologue.preamble else {
        throw reader.failure(.ramSectionTwice, at: reader.position, in: .sectionHeader)
      }
    } catch {
      guard case .format(var problem, _) = error else { throw error }
      problem.offset = streamOffset + (problem.offset - .zero)
      throw .format(problem, in: path)
    }
  }

  /// The same plan, of an image that says what it is of.
  public func with(facts: ImageFacts?) -> SavePlan {
    var plan = self
    plan.facts = facts
    return plan
  }

  /// The size of the target's pages.
  public var pageSize: PageSize { blocks[0].block.pageSize }

  /// Bytes of RAM in all blocks.
  public var ramTotal: ByteCount { blocks.reduce(.zero) { $0 + $1.usedLength } }

  /// What is known of the VM.
  var vm: VMIdentity {
    VMIdentity(
      machineType: prologue.configuration.machineType, uuid: prologue.configuration.uuid)
  }

  /// Where the stream ends.
  public var end: FileOffset { tail.reduce(layout.tail) { $0 + $1.byteCount } }
}
