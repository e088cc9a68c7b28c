import LinuxIO
package import MappedRAMFormat

extension DeviceStateStream {
  /// What stands before the block list in an image with this device state.
  ///
  /// - Parameter configuration: of the image; by default the stream's own, with the capability `mapped-ram` alone.
  /// - Precondition: the stream has a CONFIGURATION, or one is given.
  package func prologue(_ configuration: Configuration? = nil) -> StreamPrologue {
    guard let configuration = configuration ?? self.configuration?.asMappedRAM else {
      preconditionFailure("a stream without CONFIGURATION does not say what machine it is of")
    }
    return StreamPrologue(
      configuration: configuration, preamble: preamble, ramSectionID: ramSectionID,
      hasFooters: hasFooters)
  }

  /// What follows the block list in an image with this device state: the end of RAM, all other elements as they stand in the
  /// stream, EOF, the description.
  ///
  /// QEMU's own description is kept, with the image's CONFIGURATION in it. Where there is none, one is made that names each section
  /// and its length.
  ///
  /// - Parameters:
  ///   - prologue: what stands before the block list.
  ///   - pageSize: of the image's blocks.
  ///   - switchoverStart: whether the command SWITCHOVER_START stands before the end of RAM, as for machine types from 10.0 on.
  ///   - runState: what the image is to say that the VM was doing; `nil` for what the stream says. `xen-save-devices-state`
  ///     always says `running` (observed: QEMU 10.0.2).
  /// - Throws: `ImageError.format`, where no description can be made.
  package func tail(
    after prologue: StreamPrologue, pageSize: PageSize, switchoverStart: Bool,
    runState: RunState? = nil
  ) throws(ImageError) -> [StreamBytes] {
    var parts = StreamParts(file: file)
    let ramEnd = sections.firstIndex { $0.type == .end && $0.isRAM }
    if ramEnd == nil { parts.append(endOfRAM(prologue, switchoverStart)) }
    for (index, section) in sections.enumerated() where section.offset >= tailStart {
      if index == ramEnd { parts.append(endOfRAM(prologue, switchoverStart)) }
      if section.isRAM || section.command?.code == .switchoverStart || section.type == .description
      {
        continue
      }
      if let runState, section.isGlobalState {
        parts.append(section, runState)
      } else {
        parts.append(section.bytes)
      }
    }
    var output = ByteOutput()
    try description(prologue.configuration, pageSize).encode(into: &output)
    parts.append(output.bytes)
    return parts.all
  }

  /// The description of an image with this device state, whose CONFIGURATION is `configuration`.
  ///
  /// - Throws: `ImageError.format`, where it cannot be made: there are too many devices, or the file's own is not right.
  package func description(
    _ configuration: Configuration, _ pageSize: PageSize
  ) throws(ImageError) -> DeviceDescription {
    do throws(FormatError) {
      if let description { return try description.replacing(configuration) }
      return try DeviceDescription(
        opaque: devices.map { ($0.identity, $0.body.byteCount) }, configuration: configuration,
        pageSize: pageSize)
    } catch {
      throw .format(error, in: file.path)
    }
  }

  private func endOfRAM(_ prologue: StreamPrologue, _ switchoverStart: Bool) -> [UInt8] {
    var output = ByteOutput()
    if switchoverStart {
      StreamElement.command(Command(.switchoverStart)).encode(into: &output)
    }
    StreamElement.end(id: prologue.ramSectionID).encode(into: &output)
    output.write(prologue.encodedListEnd(at: .zero).bytes)
    return output.bytes
  }
}

extension ImageSection {
  /// Whether this is one of RAM's sections.
  var isRAM: Bool { identity?.idstr == SectionIdentity.ram.idstr }

  /// All bytes of the element.
  var bytes: Range<FileOffset> { offset..<(offset + byteCount) }
}

/// Bytes of a stream under construction: parts of a file that touch are one.
private struct StreamParts {
  let file: File
  private(set) var all: [StreamBytes] = []

  init(file: File) { self.file = file }

  mutating func append(_ bytes: [UInt8]) { all.append(.bytes(bytes)) }

  mutating func append(_ range: Range<FileOffset>) {
    if case .file(let file, let last)? = all.last, last.upperBound == range.lowerBound {
      all[all.count - 1] = .file(file, last.lowerBound..<range.upperBound)
    } else {
      all.append(.file(file, range))
    }
  }

  /// Appends the section that says what the VM was doing, saying `runState`.
  mutating func append(_ section: ImageSection, _ runState: RunState) {
    let changed = ByteCount(GlobalState.byteCount)
    guard section.body.byteCount >= changed else { return append(section.bytes) }
    append(section.offset..<section.body.lowerBound)
    var output = ByteOutput()
    GlobalState(runState).encode(into: &output)
    append(output.bytes)
    append((section.body.lowerBound + changed)..<section.bytes.upperBound)
  }
}
