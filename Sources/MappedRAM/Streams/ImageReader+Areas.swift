import LinuxIO
import MappedRAMFormat

/// Areas are looked for twice: from the end of the file, whose last line says where they begin, and with it the end of the stream; and
/// right behind the stream, where that line is damaged, is not at the end of the file, or the file is a device.
extension ImageReader {
  /// Areas one behind the other, and what closes them.
  private struct Chain {
    var headers: [AreaHeader]
    /// The text of the copy of the description, if there is one.
    var copy: Range<FileOffset>?
    /// The first byte behind the last line.
    var end: FileOffset
  }

  /// Looks for areas from the end of the file: with them, the end of the stream is known.
  ///
  /// From then on the stream is read as though the file ended with it.
  ///
  /// - Returns: what is wrong with the areas.
  mutating func locateAreas() throws(ImageError) -> FormatError? {
    let count = ByteCount(AreaLine.byteCount)
    guard cursor.window.file.kind == .regular, (cursor.window.end - .zero) >= count else {
      return nil
    }
    let place = FileOffset(cursor.window.end.rawValue - count.rawValue)
    let line = try cursor.window.parse(at: place, atMost: AreaLine.byteCount) { input in
      AreaLine(parsing: &input)
    }.value
    guard let line else { return nil }
    let isUnfinished = try cursor.window.parse(
      at: line.firstArea, atMost: AreaHeader.magicByteCount
    ) { AreaHeader.isUnfinished(at: $0) }.value
    if isUnfinished {
      cursor.remarks.append(.unfinishedAreas(line.firstArea))
      return nil
    }
    do throws(ImageError) {
      let end = cursor.window.end
      try readChain(at: line.firstArea) { (chain) throws(FormatError) in
        guard chain.end == end else {
          throw FormatError(
            .area(.closingEnd(found: chain.end, expected: end)), at: line.firstArea, in: .areas)
        }
      }
      cursor.window.cut(at: line.firstArea)
      return nil
    } catch {
      guard case .format(let problem, _) = error else { throw error }
      return problem
    }
  }

  /// Reads the areas that follow the stream, which ends here, or checks that those that were found do.
  ///
  /// Those that are known to be damaged are not read again.
  mutating func readAreas() throws(ImageError) {
    switch areas {
    case .damaged: return
    case .whole(let headers, _):
      try damaging { (reader) throws(ImageError) in
        guard let first = headers.first, first.range.lowerBound == reader.position else {
          throw reader.failure(
            .area(
              .streamEnd(
                found: reader.position,
                expected: headers.first?.range.lowerBound ?? reader.position)),
            at: reader.position, in: .areas)
        }
      }
    case .none:
      guard try cursor.hasArea(at: position) else { return }
      let end = try readChain(at: position)
      if end < cursor.window.end, cursor.window.file.kind == .regular {
        cursor.remarks.append(.bytesAfterEnd(cursor.window.end - end))
      }
    }
    try damaging { (reader) throws(ImageError) in try reader.checkCopy() }
  }

  /// Notes that the areas are damaged where `body` finds that they are.
  private mutating func damaging(
    _ body: (inout ImageReader) throws(ImageError) -> Void
  ) throws(ImageError) {
    do throws(ImageError) {
      try body(&self)
    } catch {
      if case .format(let problem, _) = error {
        areas = .damaged(areas.headers, problem)
        (deviceArea, facts) = (nil, nil)
      }
      throw error
    }
  }

  /// Reads all areas from the one at `offset` on, what closes them, and the tables of those that are known here.
  ///
  /// - Returns: the first byte behind all.
  @discardableResult
  private mutating func readChain(
    at offset: FileOffset, checking: (Chain) throws(FormatError) -> Void = { _ in }
  ) throws(ImageError) -> FileOffset {
    var chain = Chain(headers: [], copy: nil, end: offset)
    do throws(ImageError) {
      try readHeaders(&chain)
      try readClosing(&chain, first: offset)
      do throws(FormatError) {
        try checking(chain)
      } catch {
        throw .format(error, in: cursor.window.file.path)
      }
      for header in chain.headers { try readTable(of: header) }
      areas = .whole(chain.headers, copy: chain.copy)
      return chain.end
    } catch {
      if case .format(let problem, _) = error {
        areas = .damaged(chain.headers, problem)
        (deviceArea, facts) = (nil, nil)
      }
      throw error
    }
  }

  private mutating func readHeaders(_ chain: inout Chain) throws(ImageError) {
    let fileEnd = cursor.window.end
    // Each area has a header at least, so the next one is further on.
    while true {
      if !chain.headers.isEmpty, try !cursor.hasArea(at: chain.end) { return }
      guard chain.headers.count < ImageLimits.areas else {
        throw failure(.area(.tooMany(limit: ImageLimits.areas)), at: chain.end, in: .areas)
      }
      let header = try cursor.window.parse(at: chain.end, atMost: AreaHeader.byteCount) {
        (input) throws(FormatError) in try AreaHeader(parsing: &input, fileEnd: fileEnd)
      }.value
      guard !chain.headers.contains(where: { $0.kind == header.kind }) else {
        throw failure(.area(.twice), at: chain.end, in: .area(header.kind))
      }
      chain.headers.append(header)
      chain.end = header.range.upperBound
    }
  }

  private mutating func readClosing(_ chain: inout Chain, first: FileOffset) throws(ImageError) {
    var place = chain.end
    if try cursor.window.peek(at: place) == SectionType.description.rawValue {
      let (count, start) = try cursor.window.parse(
        at: place, atMost: DeviceDescription.headByteCount
      ) { (input) throws(FormatError) in try DeviceDescription.textByteCount(parsing: &input) }
      guard let end = start.adding(ByteCount(count)), end <= cursor.window.end else {
        throw failure(.area(.noClosing), at: place, in: .areas)
      }
      chain.copy = start..<end
      place = end
    }
    let (line, end) = try cursor.window.parse(at: place, atMost: AreaLine.byteCount) { input in
      AreaLine(parsing: &input)
    }
    guard let line else { throw failure(.area(.noClosing), at: place, in: .areas) }
    guard line.firstArea == first else {
      throw failure(
        .area(.closingOffset(found: line.firstArea, expected: first)), at: place, in: .areas)
    }
    chain.end = end
  }

  /// Reads the table of an area, if it is of a kind that readers of the whole image need.
  private mutating func readTable(of header: AreaHeader) throws(ImageError) {
    switch (header.kind, header.version) {
    case (.devices, DeviceArea.version):
      do throws(FormatError) {
        try DeviceArea.check(header)
      } catch {
        throw .format(error, in: cursor.window.file.path)
      }
      let count = Int(header.table.byteCount.rawValue)
      deviceArea = try cursor.window.parse(at: header.table.lowerBound, atMost: count) {
        (input) throws(FormatError) in try DeviceArea(header: header, parsing: &input)
      }.value
    case (.facts, ImageFacts.version):
      do throws(FormatError) {
        try ImageFacts.check(header)
      } catch {
        throw .format(error, in: cursor.window.file.path)
      }
      let count = Int(header.table.byteCount.rawValue)
      facts = try cursor.window.parse(at: header.table.lowerBound, atMost: count) {
        (input) throws(FormatError) in try ImageFacts(header: header, parsing: &input)
      }.value
    case _ where header.isNeeded:
      throw failure(
        .area(.unknown(version: header.version)), at: header.range.lowerBound,
        in: .area(header.kind))
    default: break
    }
  }

  /// Compares the copy of the description with the one that the stream has.
  private mutating func checkCopy() throws(ImageError) {
    guard case .whole(let headers, let copy) = areas else { return }
    let text = cursor.description?.text
    let place = copy?.lowerBound ?? headers.last?.range.upperBound ?? position
    let found = try copy.map { (range) throws(ImageError) in
      try cursor.window.file.readUp(to: Int(range.byteCount.rawValue), at: range.lowerBound)
    }
    let isRight =
      switch (found, text) {
      case (nil, nil): true
      case (let found?, let text?): AreaClosing.isCopy(found, of: text)
      default: false
      }
    guard isRight else { throw failure(.area(.descriptionCopy), at: place, in: .areas) }
  }
}
