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
    /// Where the last area ends.
    var headersEnd: FileOffset
    /// Whether all headers have been read.
    var hasAllHeaders = false
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
      guard areas.headers.isEmpty else { return problem }
      // The line may be what is damaged: that shows at the end of the stream.
      (areas, lineProblem, lineStart) = (.none, problem, line.firstArea)
      return nil
    }
  }

  /// Reads the areas that follow the stream, which ends here, or checks that those that were found do.
  ///
  /// Those that are known to be damaged are not read again.
  mutating func readAreas() throws(ImageError) {
    switch areas {
    case .damaged(let headers, _):
      guard headers.first?.range.lowerBound != position else { return }
      (deviceArea, facts, lacksNeededArea) = (nil, nil, true)
      return
    case .whole(let headers, _):
      guard let first = headers.first, first.range.lowerBound == position else {
        (deviceArea, facts, lacksNeededArea) = (nil, nil, true)
        throw damaged(
          .streamEnd(found: position, expected: headers.first?.range.lowerBound ?? position),
          at: position)
      }
    case .none:
      guard try cursor.hasArea(at: position) else {
        guard let lineProblem else { return }
        takeLineProblem()
        throw .format(lineProblem, in: cursor.window.file.path)
      }
      let end = try readChain(at: position)
      if end < cursor.window.end, cursor.window.file.kind == .regular {
        cursor.remarks.append(.bytesAfterEnd(cursor.window.end - end))
      }
    }
    try checkCopy()
  }

  /// Takes the areas to be where the line says, and nothing of them to be readable.
  mutating func takeLineProblem() {
    guard areas == .none, let lineProblem else { return }
    areas = .damaged([], lineProblem)
    // What was found out about the place holds for no other one.
    if lineStart != position { lacksNeededArea = true }
  }

  /// Notes that the areas are damaged.
  private mutating func damaged(_ problem: AreaProblem, at offset: FileOffset) -> ImageError {
    let problem = FormatError(.area(problem), at: offset, in: .areas)
    areas = .damaged(areas.headers, problem)
    return .format(problem, in: cursor.window.file.path)
  }

  /// Reads all areas from the one at `offset` on, what closes them, and the tables of those that are known here: of those that are needed
  /// also where something else is damaged.
  ///
  /// - Returns: the first byte behind all.
  @discardableResult
  private mutating func readChain(
    at offset: FileOffset, checking: (Chain) throws(FormatError) -> Void = { _ in }
  ) throws(ImageError) -> FileOffset {
    var chain = Chain(headers: [], copy: nil, end: offset, headersEnd: offset)
    var failure: ImageError?
    lacksNeededArea = false
    do throws(ImageError) {
      try readHeaders(&chain)
      try readClosing(&chain, first: offset)
      do throws(FormatError) {
        try checking(chain)
      } catch {
        throw .format(error, in: cursor.window.file.path)
      }
    } catch {
      guard case .format = error else { throw error }
      failure = error
      lacksNeededArea = try mayBeNeeded(behind: chain)
    }
    for header in chain.headers {
      do throws(ImageError) {
        try readTable(of: header)
      } catch {
        guard case .format = error else { throw error }
        if header.isNeeded || header.kind == .devices {
          (deviceArea, lacksNeededArea) = (nil, true)
        }
        failure = failure ?? error
      }
    }
    guard case .format(let problem, _)? = failure, let failure else {
      areas = .whole(chain.headers, copy: chain.copy)
      return chain.end
    }
    areas = .damaged(chain.headers, problem)
    throw failure
  }

  /// Whether what cannot be read behind the areas of `chain` may be an area that is needed: those that are come first.
  private mutating func mayBeNeeded(behind chain: Chain) throws(ImageError) -> Bool {
    if let last = chain.headers.last, !last.isNeeded { return false }
    let bytes = try cursor.window.file.readUp(to: 8, at: min(chain.headersEnd, cursor.window.end))
    // What closes the areas begins so; of an area, its kind may still be there.
    let closes =
      chain.hasAllHeaders && [SectionType.description.rawValue, 0x0A].contains(bytes.first)
    return !closes && !(AreaKind(Array(bytes.dropFirst(4)))?.isOptional ?? false)
  }

  private mutating func readHeaders(_ chain: inout Chain) throws(ImageError) {
    let fileEnd = cursor.window.end
    // Each area has a header at least, so the next one is further on.
    while true {
      if !chain.headers.isEmpty, try !cursor.hasArea(at: chain.end) {
        chain.hasAllHeaders = true
        return
      }
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
      chain.headersEnd = chain.end
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
    guard isRight else { throw damaged(.descriptionCopy, at: place) }
  }
}
