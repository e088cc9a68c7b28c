package import LinuxIO
package import MappedRAMFormat

/// A plain migration stream that QEMU wrote for its device state: what is in it, and what an image's tail is made of.
///
/// Three forms are read:
///
/// - what `xen-save-devices-state` writes: header, device sections, EOF, and nothing else;
/// - what `migrate` writes without `mapped-ram`, best with `x-ignore-shared`: also the CONFIGURATION, the block list, the pages
///   of blocks that are not ignored, and the description;
/// - the tail of an image, or device sections alone: it has no header and begins with a section.
///
/// The file must stay as it is as long as this is in use: sections are copied from it.
package struct DeviceStateStream: Sendable {
  /// The file that the stream is in.
  package private(set) var file: File
  /// The CONFIGURATION section, if there is one.
  package internal(set) var configuration: Configuration?
  /// The elements before RAM, as they stand in the stream; empty where there is no RAM.
  package internal(set) var preamble: [UInt8] = []
  /// The blocks of the list, in its order; empty where there is no RAM.
  package internal(set) var blocks: [Block] = []
  /// A section id that RAM has in the stream, or that it can have since nothing else has it.
  package internal(set) var ramSectionID: UInt32 = 1
  /// The sections, commands and the like, in file order.
  package internal(set) var sections: [ImageSection] = []
  /// QEMU's description of the device state, if there is one.
  package internal(set) var description: DeviceDescription?
  /// Whether sections end in a footer.
  package internal(set) var hasFooters = true
  /// Where the elements behind RAM's START begin; where there is none, the first section.
  var tailStart = FileOffset.zero

  /// A RAMBlock of the list.
  package struct Block: Sendable {
    /// What it is, without an address.
    package var block: RAMBlock
    /// The address of its memory region; only with the capability `x-ignore-shared`.
    package var address: UInt64?
    /// The pages that were in the stream; `nil` where none was: the block is ignored, or all zero.
    package var contents: FilePages?

    /// Its name.
    package var idstr: String { block.idstr }
    /// Bytes in use.
    package var usedLength: ByteCount { block.usedLength }
    /// The size of its pages.
    package var pageSize: PageSize { block.pageSize }
    /// How many pages it has.
    package var pageCount: Int { block.pageCount }
  }

  /// A device's section.
  package struct Device: Equatable, Sendable {
    /// Whose it is.
    package var identity: SectionIdentity
    /// The whole section, head and footer included, in the file.
    package var bytes: Range<FileOffset>
    /// What is between its head and its footer.
    package var body: Range<FileOffset>
  }

  /// The device sections of type FULL, in file order.
  package var devices: [Device] {
    sections.compactMap { section in
      guard section.type == .full, let identity = section.identity else { return nil }
      return Device(
        identity: identity, bytes: section.offset..<(section.offset + section.byteCount),
        body: section.body)
    }
  }

  /// Whether the stream has the command SWITCHOVER_START.
  package var hasSwitchoverStart: Bool {
    sections.contains { $0.command?.code == .switchoverStart }
  }

  /// Reads a stream.
  ///
  /// Pages go into a file in memory: of two records of a page the later one counts.
  ///
  /// - Parameters:
  ///   - streamOffset: where it begins in the file.
  ///   - pageSize: the size of the target's pages; `nil` for what the CONFIGURATION or the description says, or else 4 KiB. It
  ///     matters only where there are blocks.
  ///   - ramSectionID: the id of RAM in a tail, which lacks the section that says it.
  ///   - hasFooters: whether sections end in a footer, in a stream without RAM, which could tell.
  /// - Throws: `ImageError`: the file cannot be read, or the stream is not right or not whole.
  /// - Complexity: O(bytes of the stream); memory for its pages.
  package init(
    reading file: File, at streamOffset: FileOffset = .zero, pageSize: PageSize? = nil,
    ramSectionID: UInt32 = 1, hasFooters: Bool = true, cancellation: Cancellation = Cancellation()
  ) throws(ImageError) {
    self.file = file
    self.ramSectionID = ramSectionID
    let window = try ImageWindow(ImageFile(file, cancellation: cancellation))
    var cursor = StreamCursor(window, at: streamOffset)
    cursor.hasFooters = hasFooters
    var reader = PlainStreamReader(cursor, into: self, pageSize: pageSize)
    self = try reader.read()
  }

  /// Why this cannot stand behind the block list of an image, if so.
  var tailProblem: FormatError? {
    guard tailStart == .zero else {
      // A stream of its own, which begins with QEVM.
      return FormatError(.unknownSectionType(0x51), at: .zero, in: .sectionHeader)
    }
    let hasEnd = sections.contains { $0.type == .end && $0.identity == .ram }
    return hasEnd ? nil : FormatError(.incompleteSave, at: .zero, in: .endOfStream)
  }
}
