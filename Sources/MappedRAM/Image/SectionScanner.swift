import LinuxIO
import MappedRAMFormat

/// Finds the sections of a stream, one after the other, and where each ends.
///
/// The length of a section's body is written nowhere. RAM's is known; a device's is in the JSON description; VFIO's has records; for the
/// others, and without a description, the section's footer is searched for.
struct SectionScanner {
  /// What was found, in file order.
  var sections: [ImageSection] = []
  /// Records of VFIO devices that are still looked at.
  var vfioRecordsLeft = ImageLimits.vfioRecords
  /// The description of the device state, if it has been found.
  var description: DeviceDescription? {
    didSet {
      let devices = description?.devices ?? []
      bodies = devices.map(DescribedBody.init)
      described = DescribedSections(of: devices)
      for section in sections where section.type == .full {
        if let identity = section.identity { _ = described.next(identity) }
      }
    }
  }
  /// What it says of the devices' sections. A section may stand in the stream any number of times, and a device may have hundreds of
  /// thousands of fields, so these are counted once.
  private var bodies: [DescribedBody] = []
  /// Which of these is whose.
  private var described = DescribedSections(of: [])
  /// Where it begins: no section can lie beyond.
  var descriptionOffset: FileOffset?
  /// Sections that were started, by their id.
  var started: [UInt32: SectionIdentity] = [:]
  /// Whether sections end in a footer.
  var hasFooters = true
  /// Ids that no section has, but that one would need to have for a footer to count that a search has passed over.
  private(set) var idsPassedOver: Set<UInt32> = []

  /// Reads the head of the element at `offset`.
  func head(
    _ window: inout ImageWindow, at offset: FileOffset
  ) throws(ImageError) -> (element: StreamElement, bodyStart: FileOffset) {
    // Only a command can be long. No more of it is read than it says, or each small one would cost a large read.
    let most =
      try window.parse(at: offset, atMost: Command.headByteCount) { input in
        StreamElement.byteCountOfCommand(at: input)
      }.value ?? StreamElement.maximumSectionHeadByteCount
    let (element, bodyStart) = try window.parse(at: offset, atMost: most) {
      (input) throws(FormatError) in try StreamElement(parsing: &input)
    }
    return (element, bodyStart)
  }

  /// Passes over the element at `start`, whose head has been read, and notes it.
  ///
  /// - Returns: where the next one begins.
  mutating func scan(
    _ element: StreamElement, _ window: inout ImageWindow, from start: FileOffset,
    bodyStart: FileOffset
  ) throws(ImageError) -> FileOffset {
    guard sections.count < ImageLimits.sections else {
      throw window.failure(
        .overLimit(
          .sections, found: UInt64(sections.count + 1), limit: UInt64(ImageLimits.sections)),
        at: start, in: .sectionHeader)
    }
    switch element {
    case .endOfStream:
      sections.append(ImageSection(type: .endOfStream, offset: start, end: bodyStart))
      return bodyStart
    case .command(let command):
      var section = ImageSection(type: .command, offset: start, end: bodyStart)
      section.command = command
      sections.append(section)
      return bodyStart
    case .start(let id, let identity), .full(let id, let identity):
      started[id] = identity
      return try scanBody(
        element.type, id, identity, &window, from: start, bodyStart: bodyStart)
    case .part(let id), .end(let id):
      guard let identity = started[id] else {
        throw window.failure(.unknownSectionID(id), at: start + 1, in: .sectionHeader)
      }
      return try scanBody(
        element.type, id, identity, &window, from: start, bodyStart: bodyStart)
    }
  }

  private mutating func scanBody(
    _ type: SectionType, _ id: UInt32, _ identity: SectionIdentity, _ window: inout ImageWindow,
    from start: FileOffset, bodyStart: FileOffset
  ) throws(ImageError) -> FileOffset {
    let bodyEnd =
      identity.idstr == SectionIdentity.ram.idstr
      ? try endOfRAMBody(&window, from: bodyStart)
      : try endOfBody(type, id, identity, &window, from: bodyStart)
    let end = try endSection(&window, at: bodyEnd, id: id, in: .section(identity.idstr))
    sections.append(
      ImageSection(
        type: type, id: id, identity: identity, offset: start, end: end,
        body: bodyStart..<bodyEnd))
    return end
  }

  /// Checks the footer of section `id` at `offset`, if sections have footers. Returns where it ends.
  func endSection(
    _ window: inout ImageWindow, at offset: FileOffset, id: UInt32, in context: FormatError.Context
  ) throws(ImageError) -> FileOffset {
    guard hasFooters else { return offset }
    return try window.parse(at: offset, atMost: SectionFooter.byteCount) {
      (input) throws(FormatError) in try SectionFooter(parsing: &input, of: id, in: context)
    }.end
  }

  /// A PART or END of RAM in a mapped-ram image has one word, EOS.
  private func endOfRAMBody(
    _ window: inout ImageWindow, from start: FileOffset
  ) throws(ImageError) -> FileOffset {
    let context = FormatError.Context.section(SectionIdentity.ram.idstr)
    let (word, end) = try window.parse(at: start, atMost: RAMWord.byteCount) {
      (input) throws(FormatError) in try RAMWord(parsing: &input, in: context)
    }
    guard word.isEndOfSection else {
      throw word.memorySize != nil
        ? window.failure(.secondBlockList, at: start, in: context)
        : window.failure(.ramFlags(found: word.flags), at: start, in: context)
    }
    return end
  }

  private mutating func endOfBody(
    _ type: SectionType, _ id: UInt32, _ identity: SectionIdentity, _ window: inout ImageWindow,
    from start: FileOffset
  ) throws(ImageError) -> FileOffset {
    let length = try describedLength(type, identity, window, at: start)
    let described = length.flatMap { start.adding($0) }.flatMap { $0 <= window.end ? $0 : nil }
    if let described {
      if !hasFooters { return described }
      if try isFooter(of: id, &window, at: described) { return described }
    }
    if length == nil, type != .full, let end = try endOfVFIOBody(&window, from: start) {
      if !hasFooters { return end }
      if try isFooter(of: id, &window, at: end) { return end }
    }
    // QEMU before 10.0 describes arrays with null pointers in them wrongly (s390x), so a length that no footer follows, or
    // that is past the end of the file, is not the last word.
    let search = try hasFooters ? searchFooter(of: id, &window, from: start) : .nothing(searchEnd)
    switch (search, described, length) {
    case (.found(let end), _, _): return end
    case (.nothing, let described?, _): return described
    case (.nothing, nil, let length?):
      throw window.failure(
        .truncated(needed: length, available: window.end - min(start, window.end)), at: start,
        in: .section(identity.idstr))
    case (.nothing(let end), nil, nil):
      throw window.failure(.sectionLengthUnknown(end), at: start, in: .section(identity.idstr))
    }
  }

  /// Bytes of a body that begins at `start` by the description; `nil` if that says nothing of it.
  private mutating func describedLength(
    _ type: SectionType, _ identity: SectionIdentity, _ window: ImageWindow, at start: FileOffset
  ) throws(ImageError) -> ByteCount? {
    guard type == .full, let index = described.next(identity) else { return nil }
    do throws(FormatError) {
      return try bodies[index].length.get()
    } catch {
      throw window.failure(error.kind, at: start, in: error.context)
    }
  }

  /// Whether the footer of section `id` is at `offset`.
  private func isFooter(
    of id: UInt32, _ window: inout ImageWindow, at offset: FileOffset
  ) throws(ImageError) -> Bool {
    var output = ByteOutput()
    SectionFooter(id: id).encode(into: &output)
    let footer = output.bytes
    return try window.parse(at: offset, atMost: footer.count) { input in
      input.firstIndex(of: footer) == 0
    }.value
  }

  /// What a search for a footer came to.
  private enum FooterSearch {
    case found(FileOffset)
    case nothing(FormatError.SectionSearch)
  }

  /// Where a search ends that no limit ends before.
  private var searchEnd: FormatError.SectionSearch {
    description == nil ? .endOfFile : .description
  }

  /// The first footer of section `id` at or after `start` that something sensible follows.
  ///
  /// - Complexity: O(bytes that are no hole), at most `ImageLimits.searchedBodyBytes`, however many footers nothing sensible follows.
  private mutating func searchFooter(
    of id: UInt32, _ window: inout ImageWindow, from start: FileOffset
  ) throws(ImageError) -> FooterSearch {
    var output = ByteOutput()
    SectionFooter(id: id).encode(into: &output)
    let footer = output.bytes
    let last = min(descriptionOffset ?? window.end, window.end)
    // A body has at most so many bytes, and its footer may begin right behind them.
    let end = min(start.adding(ImageLimits.searchedBodyBytes + ByteCount(1)) ?? last, last)
    // Footers are looked for in one part after the other, with so much behind each that what follows is there too.
    let step = ImageWindow.readAhead
    let overlap = footer.count + StreamElement.maximumByteCount
    var offset = start
    // Where the hole begins that `offset` comes to next. No footer begins in a hole.
    var dataEnd = start
    var passed = PassedFooters(ids: idsPassedOver)
    defer { idsPassedOver = passed.ids }
    while offset < end {
      if offset >= dataEnd {
        guard let data = try window.nextData(in: offset..<end) else { break }
        (offset, dataEnd) = (data.lowerBound, data.upperBound)
      }
      let found = try window.parse(at: offset, atMost: step + overlap) { input in
        firstFooter(footer, in: &input, startingBelow: step, &passed)
      }.value
      if let found {
        if found < end { return .found(found) }
        break
      }
      offset = offset.adding(ByteCount(step)) ?? end
    }
    if let loose = passed.loose, loose < end { return .found(loose) }
    return .nothing(end < last ? .limit(ImageLimits.searchedBodyBytes) : searchEnd)
  }

  /// The place of the first `footer` that begins in the next `count` bytes and that something sensible follows.
  private func firstFooter(
    _ footer: [UInt8], in input: inout ByteInput, startingBelow count: Int,
    _ passed: inout PassedFooters
  ) -> FileOffset? {
    var rest = count
    while let index = input.firstIndex(of: footer), index < rest {
      do throws(FormatError) {
        try input.skip(index, in: .sectionHeader)
        let found = input.offset
        var next = input
        try next.skip(footer.count, in: .sectionHeader)
        switch follower(&next) {
        case .sensible: return found
        case .loose: passed.loose = passed.loose ?? found
        case .sectionID(let id): passed.note(id)
        case .nothing: break
        }
        try input.skip(1, in: .sectionHeader)
        rest -= index + 1
      } catch {
        return nil
      }
    }
    return nil
  }

  /// What follows a footer.
  private enum Follower {
    case sensible
    /// An EOF byte that other bytes follow. A zero byte in a device's state looks the same.
    case loose
    /// A PART or END of a section that was not started.
    case sectionID(UInt32)
    case nothing
  }

  /// Looks whether an element of a stream begins here.
  private func follower(_ input: inout ByteInput) -> Follower {
    guard let byte = input.peek(), SectionType(rawValue: byte) != nil else { return .nothing }
    do throws(FormatError) {
      switch try StreamElement(parsing: &input) {
      case .part(let id), .end(let id): return started[id] != nil ? .sensible : .sectionID(id)
      case .start, .full, .command: return .sensible
      case .endOfStream:
        // Where there is a description, it is next; else the EOF byte is the last one, unless somebody wrote behind it.
        switch (input.peek(), description) {
        case (SectionType.description.rawValue, _), (nil, nil): return .sensible
        case (_, nil): return .loose
        default: return .nothing
        }
      }
    } catch {
      return .nothing
    }
  }
}

/// Footers that a search has passed over.
private struct PassedFooters {
  /// The first that only an EOF byte and other bytes follow: if there is no better one, that is it.
  var loose: FileOffset?
  /// The ids of sections that follow and were not started.
  var ids: Set<UInt32>

  init(ids: Set<UInt32>) { self.ids = ids }

  /// Notes an id; of so many that somebody must have meant them, not all.
  mutating func note(_ id: UInt32) {
    if ids.count < 1 << 16 { ids.insert(id) }
  }
}

/// What a description says of a device's section.
private struct DescribedBody {
  /// Bytes of the body, or what is wrong with the numbers.
  var length: Result<ByteCount, FormatError>

  init(_ device: DescribedDevice) {
    do throws(FormatError) {
      length = .success(try DeviceDescription.bodyLength(of: device))
    } catch {
      length = .failure(error)
    }
  }
}

extension ImageSection {
  /// An element from `offset` to `end`; by default it is all body.
  init(
    type: SectionType, id: UInt32? = nil, identity: SectionIdentity? = nil, offset: FileOffset,
    end: FileOffset, body: Range<FileOffset>? = nil
  ) {
    self.type = type
    self.id = id
    self.identity = identity
    self.offset = offset
    byteCount = end - offset
    self.body = body ?? offset..<end
  }
}
