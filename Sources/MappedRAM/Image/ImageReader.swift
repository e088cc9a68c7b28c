import LinuxIO
import MappedRAMFormat

/// Reads an image's structures one after the other: container, prologue, blocks, tail.
///
/// Whoever restores queues a block as soon as it has been read. Everything read is checked before it is given out: a block's
/// regions lie inside the file and follow one another, so that none overlap.
struct ImageReader {
  var window: ImageWindow
  var scanner: SectionScanner
  private(set) var container = Image.Container.qemu
  private(set) var streamOffset: FileOffset
  var remarks: [ImageRemark] = []
  /// Where the next structure begins.
  var position: FileOffset
  var list = BlockListState()
  /// What is wrong with what ends the file like a description. It is a problem of the image only if the stream leads there.
  var descriptionProblem: FormatError?
  /// The states of devices behind the stream, once they have been found.
  var area: DeviceArea?
  private let isOffsetGiven: Bool

  /// What is known of the block list while it is read.
  struct BlockListState {
    var total = ByteCount.zero
    var sum = ByteCount.zero
    var names: Set<String> = []
    var pageSize: PageSize?
    var form = RAMBlockEntry.Form(hasAddress: false, hasHeader: true)
    var sectionID: UInt32 = 0
    /// Where the RAM section begins, and where its body does.
    var sectionStart = FileOffset.zero
    var bodyStart = FileOffset.zero
  }

  /// A reader of `file`, whose stream begins at `streamOffset`, or where its container says.
  init(
    _ file: File, streamOffset: FileOffset?, cancellation: Cancellation,
    overlay: ByteOutput? = nil
  ) throws(ImageError) {
    window = try ImageWindow(file, cancellation: cancellation, overlay: overlay)
    scanner = SectionScanner()
    isOffsetGiven = streamOffset != nil
    self.streamOffset = streamOffset ?? .zero
    position = streamOffset ?? .zero
  }

  /// Reads what the stream is wrapped in.
  ///
  /// - Returns: a problem that leaves the rest readable: libvirt did not finish the save, or its texts have no end.
  mutating func readContainer() throws(ImageError) -> FormatError? {
    guard !isOffsetGiven else { return nil }
    let isLibvirt = try window.parse(at: .zero, atMost: 16) { input in
      LibvirtHeader.isPresent(in: (0..<16).compactMap { input.peek($0) })
    }.value
    guard isLibvirt else { return nil }
    container = .damagedLibvirt(nil)
    let (header, headerEnd) = try window.parse(at: .zero, atMost: LibvirtHeader.byteCount) {
      (input) throws(FormatError) in try LibvirtHeader(parsing: &input)
    }
    container = .damagedLibvirt(header)
    streamOffset = header.streamOffset
    position = header.streamOffset
    var problem: FormatError?
    do throws(ImageError) {
      let (libvirt, dataEnd) = try window.parse(at: headerEnd, atMost: Int(header.dataLength)) {
        (input) throws(FormatError) in try LibvirtContainer(header: header, parsing: &input)
      }
      container = .libvirt(libvirt)
      precondition(dataEnd == position, "the stream follows the data area")
    } catch {
      guard case .format(let found, _) = error, found.kind == .libvirtTextNotTerminated else {
        throw error
      }
      problem = found
    }
    if header.format != .sparse { remarks.append(.libvirtFormat(header.format)) }
    return header.isComplete
      ? problem : FormatError(.libvirtIncomplete, at: .zero, in: .libvirtHeader)
  }

  /// Reads everything before the block list.
  mutating func readPrologue() throws(ImageError) -> StreamPrologue {
    try settleBeforeRAM()
    return try readElementsBeforeRAM()
  }

  /// The same, with the description that is known now.
  @discardableResult
  mutating func readElementsBeforeRAM() throws(ImageError) -> StreamPrologue {
    // A name, and three subsections of which one has up to `ImageLimits.capabilities` names: below 128 KiB.
    let start = position
    let (configuration, end) = try window.parse(at: start, atMost: 1 << 17) {
      (input) throws(FormatError) in
      _ = try StreamHeader(parsing: &input)
      return try Configuration(parsing: &input)
    }
    scanner.sections.append(
      ImageSection(
        type: .configuration, offset: start + ByteCount(StreamHeader.byteCount), end: end))
    guard configuration.isMappedRAM else {
      throw window.failure(.notMappedRAM, at: start, in: .configuration)
    }
    list.form = RAMBlockEntry.Form(configuration)
    list.pageSize = configuration.targetPageSize
    position = end
    let preambleEnd = try readPreamble()
    let preamble = try window.bytes(end..<preambleEnd, in: .sectionHeader)
    list.total = try readMemorySize()
    return StreamPrologue(
      configuration: configuration, preamble: preamble, ramSectionID: list.sectionID)
  }

  /// Reads the elements before RAM's START section, and its head.
  ///
  /// - Returns: where the section begins.
  private mutating func readPreamble() throws(ImageError) -> FileOffset {
    let start = position
    while true {
      let length = position - start
      guard length <= ImageLimits.preambleBytes else {
        throw window.failure(
          .overLimit(
            .preambleBytes, found: length.rawValue, limit: ImageLimits.preambleBytes.rawValue),
          at: start, in: .sectionHeader)
      }
      let (element, bodyStart) = try scanner.head(&window, at: position)
      if case .start(let id, let identity) = element, identity.idstr == SectionIdentity.ram.idstr {
        try checkRAM(identity, bodyStart: bodyStart)
        list.sectionID = id
        list.sectionStart = position
        list.bodyStart = bodyStart
        defer { position = bodyStart }
        return position
      }
      if case .endOfStream = element {
        throw window.failure(.missingRAMSection, at: position, in: .endOfStream)
      }
      position = try scanner.scan(element, &window, from: position, bodyStart: bodyStart)
    }
  }

  func checkRAM(
    _ identity: SectionIdentity, bodyStart: FileOffset
  ) throws(ImageError) {
    guard identity.instanceID == SectionIdentity.ram.instanceID else {
      throw window.failure(
        .ramSectionInstance(found: identity.instanceID),
        at: FileOffset(bodyStart.rawValue - 8), in: .section(identity.idstr))
    }
    guard identity.version == SectionIdentity.ram.version else {
      throw window.failure(
        .ramSectionVersion(found: identity.version),
        at: FileOffset(bodyStart.rawValue - 4), in: .section(identity.idstr))
    }
  }

  mutating func readMemorySize() throws(ImageError) -> ByteCount {
    let start = position
    let (word, end) = try window.parse(at: position, atMost: RAMWord.byteCount) {
      (input) throws(FormatError) in try RAMWord(parsing: &input, in: .ramBlockList)
    }
    guard let total = word.memorySize else {
      throw window.failure(.ramFlags(found: word.flags), at: start, in: .ramBlockList)
    }
    guard total <= ImageLimits.ramBytes else {
      throw window.failure(
        .overLimit(.ramBytes, found: total.rawValue, limit: ImageLimits.ramBytes.rawValue),
        at: start, in: .ramBlockList)
    }
    position = end
    return total
  }
}
