import LinuxIO
import MappedRAMFormat

extension ImageReader {
  /// Looks for the description at the end of the file: with it, the lengths of sections are known.
  ///
  /// - Returns: what is wrong with it. An image without a description, or with something behind it, is read all the same.
  mutating func locateDescription() throws(ImageError) -> FormatError? {
    let most = ImageLimits.descriptionBytes.rawValue + 5
    var count = min(UInt64(ImageWindow.readAhead), window.end.rawValue)
    while true {
      let start = FileOffset(window.end.rawValue - count)
      let bytes = try window.bytes(start..<window.end, in: .description)
      if let found = unsafe DeviceDescription.locate(inLast: bytes.span.bytes, endingAt: window.end)
      {
        do throws(ImageError) {
          scanner.description = try parseDescription(at: found).value
          scanner.descriptionOffset = found
          return nil
        } catch {
          guard case .format(let problem, _) = error else { throw error }
          return problem
        }
      }
      // A zero byte cannot be part of the text, so what is before it does not matter.
      guard !bytes.dropFirst(4).contains(0), count < min(most, window.end.rawValue) else {
        return nil
      }
      count = min(count * 4, most, window.end.rawValue)
    }
  }

  private mutating func parseDescription(
    at offset: FileOffset
  ) throws(ImageError) -> (value: DeviceDescription, end: FileOffset) {
    // The length is read first, so that no more than the text is held in memory, whatever follows it.
    let length = try window.parse(at: offset, atMost: DeviceDescription.headByteCount) {
      (input) throws(FormatError) in
      try input.skip(1, in: .description)
      return try input.readBigEndian(UInt32.self, in: .description)
    }.value
    let most =
      DeviceDescription.headByteCount
      + Int(min(UInt64(length), ImageLimits.descriptionBytes.rawValue))
    return try window.parse(at: offset, atMost: most) { (input) throws(FormatError) in
      try DeviceDescription(parsing: &input)
    }
  }

  /// Reads everything from the end of RAM's START section to the end of the stream.
  ///
  /// - Returns: where the stream ends.
  mutating func readTail() throws(ImageError) -> FileOffset {
    let start = self
    try scanTail()
    guard scanner.descriptionOffset == nil, let description = scanner.description else {
      return position
    }
    // Something follows the description, so it was found only now: with it the lengths of sections are sure.
    let found = description
    self = start
    scanner.description = found
    scanner.descriptionOffset = window.end
    try scanTail()
    return position
  }

  private mutating func scanTail() throws(ImageError) {
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

  private mutating func readDescription() throws(ImageError) {
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
