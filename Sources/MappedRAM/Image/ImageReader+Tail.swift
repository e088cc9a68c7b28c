import LinuxIO
import MappedRAMFormat

extension ImageReader {
  /// Looks for the description at the end of the file: with it, the lengths of sections are known, if it is this image's.
  ///
  /// What ends a device is of an image that was there before, if of any. An image without a description, or with something behind it,
  /// is read all the same.
  mutating func locateDescription() throws(ImageError) {
    guard let found = try placeOfLastDescription() else { return }
    do throws(ImageError) {
      scanner.description = try parseDescription(at: found).value
      scanner.descriptionOffset = found
    } catch {
      guard case .format(let problem, _) = error else { throw error }
      descriptionProblem = problem
    }
  }

  /// Where the description begins that ends the file, if one does.
  private func placeOfLastDescription() throws(ImageError) -> FileOffset? {
    guard window.file.kind == .regular else { return nil }
    let most = min(
      ImageLimits.descriptionBytes.rawValue + UInt64(DeviceDescription.headByteCount),
      window.end.rawValue)
    var count = min(UInt64(ImageWindow.readAhead), most)
    while true {
      let bytes = try calling { () throws(SystemCallError) in
        try window.file.readBytes(at: window.end.rawValue - count, count: Int(count))
      }
      guard UInt64(bytes.count) == count else { return nil }
      if let found = unsafe DeviceDescription.locate(inLast: bytes.span.bytes, endingAt: window.end)
      {
        return found
      }
      // A zero byte cannot be part of the text, so what is before it does not matter.
      guard !bytes.dropFirst(4).contains(0), count < most else { return nil }
      count = min(count * 4, most)
    }
  }

  private mutating func parseDescription(
    at offset: FileOffset
  ) throws(ImageError) -> (value: DeviceDescription, end: FileOffset) {
    let (count, textOffset) = try window.parse(
      at: offset, atMost: DeviceDescription.headByteCount
    ) { (input) throws(FormatError) in try DeviceDescription.textByteCount(parsing: &input) }
    // The text is long and kept, so it does not go through the window as well.
    let text = try calling { () throws(SystemCallError) in
      try window.file.readBytes(
        at: textOffset.rawValue, count: Int(min(UInt64(count), (window.end - textOffset).rawValue)))
    }
    guard text.count == count else {
      throw window.failure(
        .truncated(needed: ByteCount(count), available: ByteCount(text.count)), at: textOffset,
        in: .description)
    }
    do throws(FormatError) {
      let description = try DeviceDescription(text: text, at: textOffset)
      return (description, textOffset + ByteCount(count))
    } catch {
      throw .format(error, in: window.file.path)
    }
  }

  /// Reads everything from the end of RAM's START section to the end of the stream.
  ///
  /// - Returns: where the stream ends.
  mutating func readTail() throws(ImageError) -> FileOffset {
    try Self.settle(&self, \.self) { (reader) throws(ImageError) in try reader.scanTail() }
    return position
  }

  /// The same, with the description that is known now.
  mutating func scanTail() throws(ImageError) {
    while true {
      let start = position
      guard start < window.end else {
        throw window.failure(.missingEndOfStream, at: start, in: .endOfStream)
      }
      let (element, bodyStart) = try scanner.head(&window, at: start)
      if case .start(_, let identity) = element, identity.idstr == SectionIdentity.ram.idstr {
        throw window.failure(.ramSectionTwice, at: start, in: .sectionHeader)
      }
      position = try scanner.scan(element, &window, from: start, bodyStart: bodyStart)
      if case .endOfStream = element { break }
    }
    try readDescription()
  }

  mutating func readDescription() throws(ImageError) {
    guard try window.peek(at: position) == SectionType.description.rawValue else {
      scanner.description = nil
      remarks.append(.noDescription)
      try remarkBytesAfterEnd()
      return
    }
    let start = position
    let (description, end) = try parseDescription(at: start)
    scanner.description = description
    scanner.sections.append(ImageSection(type: .description, offset: start, end: end))
    position = end
    if let found = description.pageSize, let expected = list.pageSize, found != expected {
      throw window.failure(
        .pageSizeDiffers(found: found, expected: expected), at: start, in: .description)
    }
    try remarkBytesAfterEnd()
  }

  private mutating func remarkBytesAfterEnd() throws(ImageError) {
    if try hasArea(at: position) { return }
    if position < window.end, window.file.kind == .regular {
      remarks.append(.bytesAfterEnd(window.end - position))
    }
  }

  /// What is missing in an image that could be read to its end.
  var incompleteness: FormatError? {
    let hasEnd = scanner.sections.contains { $0.type == .end && $0.identity == .ram }
    return hasEnd ? nil : FormatError(.incompleteSave, at: position, in: .endOfStream)
  }
}
