import LinuxIO
import MappedRAMFormat

/// Reads an image's structures one after the other: container, prologue, blocks, tail.
///
/// Whoever restores queues a block as soon as it has been read. Everything read is checked before it is given out: a block's
/// regions lie inside the file and follow one another, so that none overlap.
struct ImageReader {
  var cursor: StreamCursor
  private(set) var container = Image.Container.qemu
  private(set) var streamOffset: FileOffset
  var list = BlockListState()
  /// What stands behind the stream, once it has been found.
  var areas = ImageAreas.none
  /// The states of devices in one of these.
  var deviceArea: DeviceArea?
  /// What one of these says that the image is of.
  var facts: ImageFacts?
  /// What is wrong where the line at the end of the file leads, if no area is there.
  var lineProblem: FormatError?
  /// Where it leads.
  var lineStart: FileOffset?
  /// Whether something behind the stream that a restore needs may be there and cannot be read.
  var lacksNeededArea = false
  private let isOffsetGiven: Bool

  /// What is known of the block list while it is read.
  struct BlockListState {
    var total = ByteCount.zero
    var sum = ByteCount.zero
    var names: Set<String> = []
    var form = RAMBlockEntry.Form(hasAddress: false, hasHeader: true)
    /// The head of the section that it is in.
    var section: StreamCursor.Head?
  }

  /// A reader of `file`, whose stream begins at `streamOffset`, or where its container says.
  init(
    _ file: ImageFile, streamOffset: FileOffset?, overlay: ByteOutput? = nil
  ) throws(ImageError) {
    isOffsetGiven = streamOffset != nil
    self.streamOffset = streamOffset ?? .zero
    cursor = StreamCursor(
      try ImageWindow(file, overlay: overlay), at: streamOffset ?? .zero)
  }

  /// Where the next structure begins.
  var position: FileOffset { cursor.position }

  /// An error in the image.
  func failure(
    _ kind: FormatError.Kind, at offset: FileOffset, in context: FormatError.Context
  ) -> ImageError {
    cursor.window.failure(kind, at: offset, in: context)
  }

  /// Reads what the stream is wrapped in.
  ///
  /// - Returns: a problem that leaves the rest readable: libvirt did not finish the save, or its texts have no end.
  mutating func readContainer() throws(ImageError) -> FormatError? {
    guard !isOffsetGiven else { return nil }
    let isLibvirt = try cursor.window.parse(at: .zero, atMost: 16) { input in
      LibvirtHeader.isPresent(in: (0..<16).compactMap { input.peek($0) })
    }.value
    guard isLibvirt else { return nil }
    container = .damagedLibvirt(nil)
    let (header, headerEnd) = try cursor.window.parse(at: .zero, atMost: LibvirtHeader.byteCount) {
      (input) throws(FormatError) in try LibvirtHeader(parsing: &input)
    }
    container = .damagedLibvirt(header)
    streamOffset = header.streamOffset
    cursor.position = header.streamOffset
    var problem: FormatError?
    do throws(ImageError) {
      let (libvirt, dataEnd) = try cursor.window.parse(
        at: headerEnd, atMost: Int(header.dataLength)
      ) {
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
    if header.format != .sparse { cursor.remarks.append(.libvirtFormat(header.format)) }
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
    let configuration = try cursor.read(atMost: 1 << 17) { (input) throws(FormatError) in
      _ = try StreamHeader(parsing: &input)
      return try Configuration(parsing: &input)
    }
    let preambleStart = position
    cursor.note(
      ImageSection(
        type: .configuration, offset: start + ByteCount(StreamHeader.byteCount),
        end: preambleStart))
    guard configuration.isMappedRAM else {
      throw failure(.notMappedRAM, at: start, in: .configuration)
    }
    list.form = RAMBlockEntry.Form(configuration)
    cursor.pageSize = configuration.targetPageSize
    let ram = try passPreamble()
    let preamble = try cursor.window.bytes(preambleStart..<ram.start, in: .sectionHeader)
    list.section = ram
    list.total = try cursor.enterRAM(ram)
    return StreamPrologue(
      configuration: configuration, preamble: preamble, ramSectionID: ram.id ?? 0)
  }

  /// Passes the elements before RAM's START section, whose head it gives.
  private mutating func passPreamble() throws(ImageError) -> StreamCursor.Head {
    let start = position
    while true {
      let length = position - start
      guard length <= ImageLimits.preambleBytes else {
        throw failure(
          .overLimit(
            .preambleBytes, found: length.rawValue, limit: ImageLimits.preambleBytes.rawValue),
          at: start, in: .sectionHeader)
      }
      let head = try cursor.nextHead()
      if head.startsRAM { return head }
      if case .endOfStream = head.element {
        throw failure(.missingRAMSection, at: position, in: .endOfStream)
      }
      try cursor.pass(head)
    }
  }
}

extension ImageReader {
  /// Looks for the description that the stream leads to, where sections before RAM's have lengths that it says. (QEMU's "early" devices,
  /// like virtio-mem's, which machines seldom have.) RAM is looked at as soon as it is come to, and not again.
  ///
  /// What is wrong with the stream is left to who reads it.
  mutating func settleBeforeRAM() throws(ImageError) {
    var probe = self
    do throws(ImageError) {
      try probe.readElementsBeforeRAM()
      guard probe.cursor.sections.contains(where: { $0.type == .full }) else { return }
    } catch {
      guard case .format = error, cursor.descriptionOffset != nil else { return }
    }
    probe = self
    do throws(ImageError) {
      try StreamCursor.settle(&probe, \.cursor) { (reader) throws(ImageError) in
        try reader.readElementsBeforeRAM()
        while try reader.nextBlock() != nil {}
        try reader.scanTail()
      }
    } catch {
      guard case .format = error else { throw error }
      return
    }
    cursor.use(probe.cursor.description, at: probe.cursor.descriptionOffset)
  }

  /// Reads everything from the end of RAM's START section to the end of the stream.
  ///
  /// - Returns: where the stream ends.
  mutating func readTail() throws(ImageError) -> FileOffset {
    try StreamCursor.settle(&self, \.cursor) { (reader) throws(ImageError) in
      try reader.scanTail()
    }
    return position
  }

  /// The same, with the description that is known now.
  private mutating func scanTail() throws(ImageError) {
    while true {
      guard position < cursor.window.end else {
        throw failure(.missingEndOfStream, at: position, in: .endOfStream)
      }
      let head = try cursor.nextHead()
      guard !head.startsRAM else {
        throw failure(.ramSectionTwice, at: head.start, in: .sectionHeader)
      }
      try cursor.pass(head)
      if case .endOfStream = head.element { break }
    }
    try cursor.readDescription()
  }

  /// What is missing in an image that could be read to its end.
  var incompleteness: FormatError? {
    let hasEnd = cursor.sections.contains { $0.type == .end && $0.identity == .ram }
    return hasEnd ? nil : FormatError(.incompleteSave, at: position, in: .endOfStream)
  }
}
