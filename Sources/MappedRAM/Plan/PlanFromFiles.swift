public import LinuxIO
public import MappedRAMFormat
public import SystemPackage

/// Plans an image from raw files and device state that did not come out of an image.
public struct PlanFromFiles: Sendable {
  /// The machine type with its version, as QEMU names it: `pc-q35-10.0`.
  public var machineType: String
  /// The blocks' names and files, in the order of the list. QEMU's own order is the largest first.
  public var blocks: [(idstr: String, file: FilePath)]
  /// The device state.
  public var vmstate: FilePath
  /// The size of the target's pages.
  public var pageSize: PageSize
  /// Where the stream is to begin.
  public var streamOffset: FileOffset
  /// Where the slots of each block are to begin.
  public var slots: SlotLayout

  /// A plan of its parts.
  public init(
    machineType: String, blocks: [(idstr: String, file: FilePath)], vmstate: FilePath,
    pageSize: PageSize = .fourKiB, streamOffset: FileOffset = .zero, slots: SlotLayout = .qemu
  ) {
    self.machineType = machineType
    self.blocks = blocks
    self.vmstate = vmstate
    self.pageSize = pageSize
    self.streamOffset = streamOffset
    self.slots = slots
  }

  /// The plan.
  ///
  /// The device state may be what a restore wrote as `vmstate.bin`, a whole stream without RAM as QEMU's
  /// `xen-save-devices-state` writes it, or device sections alone. A stream's header is left out and the end of RAM put in front
  /// where they are needed; where nothing follows the EOF byte, a description is put there that has each section with its length.
  ///
  /// - Throws: `ImageError`.
  public func plan(directIO: DirectIOPolicy = .auto) throws(ImageError) -> SavePlan {
    var planned: [SavePlan.Block] = []
    for (idstr, path) in blocks {
      let pages = try FilePages(reading: path, directIO: directIO)
      do throws(FormatError) {
        let block = try RAMBlock(
          idstr: idstr, usedLength: ByteCount(pages.byteCount), pageSize: pageSize)
        planned.append(SavePlan.Block(block, pages: pages))
      } catch {
        throw .format(error, in: path)
      }
    }
    let prologue = StreamPrologue(configuration: .mappedRAM(machineType: machineType))
    return try SavePlan(
      prologue: prologue, blocks: planned, tail: try tail(after: prologue),
      streamOffset: streamOffset, slots: slots, for: vmstate)
  }

  /// The device state, brought into the form that follows a block list.
  private func tail(after prologue: StreamPrologue) throws(ImageError) -> [StreamBytes] {
    let opened = try ImageFile(opening: vmstate)
    let file = opened.file
    var window = try ImageWindow(opened)
    let isStream = try window.parse(at: .zero, atMost: 4) { input in
      (0..<4).map { input.peek($0) } == [0x51, 0x45, 0x56, 0x4D]
    }.value
    let start = try isStream ? endOfHead(&window) : .zero
    let first = try window.peek(at: start).flatMap(SectionType.init(rawValue:))
    var tail: [StreamBytes] =
      switch first {
      case .part, .end, .command: []
      default: [.bytes(endOfRAM(prologue.ramSectionID))]
      }
    let description = try endsWithEOF(&window) ? description(after: prologue, file) : nil
    let end = description?.place ?? window.end
    tail.append(.file(file, start..<end))
    if let description { tail.append(.bytes(description.bytes)) }
    return tail
  }

  /// Whether the last byte can be the EOF byte. That of a description cannot: JSON has no zero byte.
  private func endsWithEOF(_ window: inout ImageWindow) throws(ImageError) -> Bool {
    guard window.end > .zero else { return false }
    return try window.peek(at: FileOffset(window.end.rawValue - 1))
      == SectionType.endOfStream.rawValue
  }

  /// The description of device state that has none, and where it belongs; `nil` if it has one after all.
  ///
  /// QEMU warns at a load where there is none, and does not look into it; analysers do.
  private func description(
    after prologue: StreamPrologue, _ file: File
  ) throws(ImageError) -> (bytes: [UInt8], place: FileOffset)? {
    let stream = try DeviceStateStream(
      reading: file, pageSize: pageSize, ramSectionID: prologue.ramSectionID)
    guard stream.description == nil,
      let end = stream.sections.last(where: { $0.type == .endOfStream })
    else { return nil }
    var output = ByteOutput()
    try stream.description(prologue.configuration, pageSize).encode(into: &output)
    return (output.bytes, end.bytes.upperBound)
  }

  /// Passes over the header and, if there is one, the CONFIGURATION section.
  private func endOfHead(_ window: inout ImageWindow) throws(ImageError) -> FileOffset {
    try window.parse(at: .zero, atMost: 1 << 17) { (input) throws(FormatError) in
      _ = try StreamHeader(parsing: &input)
      if input.peek() == SectionType.configuration.rawValue {
        _ = try Configuration(parsing: &input)
      }
    }.end
  }

  private func endOfRAM(_ id: UInt32) -> [UInt8] {
    var output = ByteOutput()
    if MachineVersion(of: machineType)?.announcesSwitchover ?? false {
      StreamElement.command(Command(.switchoverStart)).encode(into: &output)
    }
    StreamElement.end(id: id).encode(into: &output)
    RAMWord.endOfSection.encode(into: &output)
    SectionFooter(id: id).encode(into: &output)
    return output.bytes
  }
}
