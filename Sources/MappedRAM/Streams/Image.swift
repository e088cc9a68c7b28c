public import MappedRAMFormat
public import SystemPackage

/// What an image holds, without its pages: the result of reading its headers, bitmaps and sections.
///
/// Of a damaged image it has all that could be read, and says in `problems` where reading stopped.
public struct Image: Equatable, Sendable {
  /// The file.
  public var path: FilePath
  /// Bytes in the file.
  public var fileSize: FileOffset
  /// What the stream is wrapped in.
  public var container: Container = .qemu
  /// Where the stream begins.
  public var streamOffset: FileOffset = .zero
  /// What stands before the block list, if it could be read.
  public var prologue: StreamPrologue?
  /// Bytes of RAM that the block list announces.
  public var ramTotal: ByteCount?
  /// The blocks that could be read, in the list's order.
  public var blocks: [ImageBlock] = []
  /// The sections, commands and the like that could be read, in file order.
  public var sections: [ImageSection] = []
  /// What follows RAM's START section, up to the end of the stream. Empty if that could not be found.
  public var tail: Range<FileOffset>?
  /// The JSON description of the device state, if there is one.
  public var description: DeviceDescription?
  /// Whether the image says that the slot of each absent page holds zeros or is a hole (FORMAT.md, section 8.4). That goes for regular
  /// files: when one was copied onto a device, what was there may show where it had holes.
  public var statesZeroSlots: Bool { description?.absentSlotsAreZero ?? false }
  /// What stands behind the stream.
  public var areas = ImageAreas.none
  /// The states of devices behind the stream, if there are some.
  public var deviceArea: DeviceArea?
  /// What the image says that it is of, if it does.
  public var facts: ImageFacts?
  /// Whether something behind the stream that a restore needs may be there and cannot be read.
  package var lacksNeededArea = false
  /// What is wrong, in the order in which it was met.
  public var problems: [FormatError] = []
  /// What is unusual, but harmless.
  public var remarks: [ImageRemark] = []

  /// Whether the image can be restored as it stands: nothing is wrong and nothing is missing.
  public var isComplete: Bool { problems.isEmpty && tail != nil }

  /// Bytes of RAM in all blocks.
  package var ramBytes: UInt64 { blocks.reduce(0) { $0 + $1.usedLength.rawValue } }
  /// Bytes of the pages that are present.
  package var presentBytes: UInt64 {
    blocks.reduce(0) { $0 + UInt64($1.pagesPresent ?? 0) * UInt64($1.pageSize.byteCount) }
  }

  /// What is damaged behind the stream though a restore does not need it: the image can be restored nevertheless. Everything that it needs
  /// is there, the states of devices among it.
  public var harmlessDamage: FormatError? {
    guard case .damaged(_, let problem) = areas, !lacksNeededArea else { return nil }
    return problem
  }

  /// The first problem because of which the image must not be restored.
  public var restoreProblem: FormatError? {
    problems.first { $0 != harmlessDamage }
  }

  /// Makes sure that the image has the states of `devices` behind its stream.
  ///
  /// - Throws: `PlanError.unknownDevice`.
  public func checkHasDevices(_ devices: some Sequence<DeviceIdentity>) throws(ImageError) {
    let known = deviceArea?.devices.map(\.identity) ?? []
    for device in devices where !known.contains(device) {
      throw .plan(.unknownDevice(device, known: known))
    }
  }

  /// What a stream is wrapped in.
  public enum Container: Equatable, Sendable {
    /// Nothing: the stream is QEMU's own file, or begins at an offset that was given.
    case qemu
    /// A file of libvirt's.
    case libvirt(LibvirtContainer)
    /// A file of libvirt's whose header, or what stands between that and the stream, is damaged; the header if it could be read.
    case damagedLibvirt(LibvirtHeader?)
  }
}

/// A RAMBlock in an image.
public struct ImageBlock: Equatable, Sendable {
  /// What the block is.
  public var block: RAMBlock
  /// Where the image keeps it.
  public var layout: BlockLayout
  /// Pages whose bit is set; `nil` where there is no bitmap.
  public var pagesPresent: Int?

  /// Its name.
  public var idstr: String { block.idstr }
  /// Bytes in use.
  public var usedLength: ByteCount { block.usedLength }
  /// The size of its pages.
  public var pageSize: PageSize { block.pageSize }
  /// How many pages it has.
  public var pageCount: Int { block.pageCount }
}

/// A section, a command or the like in an image.
public struct ImageSection: Equatable, Sendable {
  /// What it is.
  public var type: SectionType
  /// The section's id, where it has one.
  public var id: UInt32?
  /// Whose it is: of its own head, or for PART and END of the START with the same id.
  public var identity: SectionIdentity?
  /// The command, of a COMMAND.
  public var command: Command?
  /// Its first byte.
  public var offset: FileOffset
  /// All its bytes, type byte and footer included.
  public var byteCount: ByteCount
  /// The bytes between its head and its footer.
  public var body: Range<FileOffset>
}

/// Something unusual, but harmless.
public enum ImageRemark: Equatable, Sendable {
  /// Bits are set past the last page of a block; readers ignore them.
  case strayBits(idstr: String, count: Int)
  /// Something follows the end of the stream; readers ignore it.
  case bytesAfterEnd(ByteCount)
  /// Areas were to stand behind the stream, and whoever wrote them did not finish: readers ignore them.
  case unfinishedAreas(FileOffset)
  /// There is no JSON description of the device state.
  case noDescription
  /// Sections have no footers.
  case noFooters
  /// libvirt's header calls the payload something else than sparse.
  case libvirtFormat(LibvirtHeader.PayloadFormat)
}

/// What a writer has put behind the stream (FORMAT.md, section 10).
public enum ImageAreas: Equatable, Sendable {
  /// Nothing.
  case none
  /// These areas, all of them whole as far as their headers and what closes them say; and where the copy of the description's text is.
  case whole([AreaHeader], copy: Range<FileOffset>?)
  /// There are areas, and something is wrong: those that could be read, and the first problem.
  case damaged([AreaHeader], FormatError)

  /// The areas that could be read, in file order.
  public var headers: [AreaHeader] {
    switch self {
    case .none: []
    case .whole(let headers, _), .damaged(let headers, _): headers
    }
  }
}
