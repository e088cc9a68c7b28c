import LinuxIO
import MappedRAMFormat

/// The length of a section's body is written nowhere. RAM's is known; a device's is in the JSON description; VFIO's has records; for the
/// others, and without a description, the section's footer is searched for.
extension StreamCursor {
  /// A PART or END of RAM in a mapped-ram image has one word, EOS.
  mutating func endOfRAMBody(
    from start: FileOffset
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

  mutating func endOfBody(
    _ type: SectionType, _ id: UInt32, _ identity: SectionIdentity, from start: FileOffset
  ) throws(ImageError) -> FileOffset {
    let length = try describedLength(type, identity, at: start)
    let described = length.flatMap { start.adding($0) }.flatMap { $0 <= window.end ? $0 : nil }
    if let described {
      if !hasFooters { return described }
      if try isFooter(of: id, at: described) { return described }
    }
    if length == nil, type != .full, let end = try endOfVFIOBody(from: start) {
      if !hasFooters { return end }
      if try isFooter(of: id, at: end) { return end }
    }
    // QEMU before 10.0 describes arrays with null pointers in them wrongly (s390x), so a length that no footer follows, or
    // that is past the end of the file, is not the last word.
    let search = try hasFooters ? searchFooter(of: id, from: start) : .nothing(searchEnd)
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
    _ type: SectionType, _ identity: SectionIdentity, at start: FileOffset
  ) throws(ImageError) -> ByteCount? {
    guard type == .full else { return nil }
    do throws(FormatError) {
      return try described.next(identity)
    } catch {
      throw window.failure(error.kind, at: start, in: error.context)
    }
  }

  /// Whether the footer of section `id` is at `offset`.
  private mutating func isFooter(of id: UInt32, at offset: FileOffset) throws(ImageError) -> Bool {
    let footer = SectionFooter(id: id).bytes
    return try window.parse(at: offset, atMost: footer.count) { input in
      input.firstIndex(of: footer) == 0
    }.value
  }

  /// Where the body that begins at `start` ends, if it is that of a VFIO device and nothing else than its records is in it.
  ///
  /// - Complexity: O(records): their data is passed over. All sections together have `ImageLimits.vfioRecords`, as a record may lead to
  ///   any place behind it.
  private mutating func endOfVFIOBody(from start: FileOffset) throws(ImageError) -> FileOffset? {
    var offset = start
    while vfioRecordsLeft > 0 {
      vfioRecordsLeft -= 1
      let (record, end) = try window.parse(
        at: offset, atMost: VFIORecord.maximumByteCount
      ) { input in VFIORecord(parsing: &input) }
      switch record {
      case nil: return nil
      case .end, .initialDataSent: return end
      case .setup: offset = end
      case .data(let count):
        guard let next = end.adding(count), next < window.end else { return nil }
        offset = next
      }
    }
    return nil
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
    of id: UInt32, from start: FileOffset
  ) throws(ImageError) -> FooterSearch {
    let last = min(descriptionOffset ?? window.end, window.end)
    // A body has at most so many bytes, and its footer may begin right behind them.
    let end = min(start.adding(ImageLimits.searchedBodyBytes + ByteCount(1)) ?? last, last)
    var finder = FooterFinder(
      footer: SectionFooter(id: id).bytes, started: started, hasDescription: description != nil,
      passedIDs: idsPassedOver)
    defer { idsPassedOver = finder.passedIDs }
    // Footers are looked for in one part after the other, with so much behind each that what follows is there too.
    let step = ImageWindow.readAhead
    let overlap = finder.footer.count + StreamElement.maximumByteCount
    var offset = start
    // Where the hole begins that `offset` comes to next. No footer begins in a hole.
    var dataEnd = start
    while offset < end {
      if offset >= dataEnd {
        guard let data = try window.file.nextData(in: offset..<end) else { break }
        (offset, dataEnd) = (data.lowerBound, data.upperBound)
      }
      let found = try window.parse(at: offset, atMost: step + overlap) { input in
        finder.firstFooter(in: &input, startingBelow: step)
      }.value
      if let found {
        if found < end { return .found(found) }
        break
      }
      offset = offset.adding(ByteCount(step)) ?? end
    }
    if let loose = finder.loose, loose < end { return .found(loose) }
    return .nothing(end < last ? .limit(ImageLimits.searchedBodyBytes) : searchEnd)
  }
}

/// Looks for footers of one section.
private struct FooterFinder {
  let footer: [UInt8]
  /// Sections that a PART or END may be of.
  let started: [UInt32: SectionIdentity]
  let hasDescription: Bool
  /// The ids of sections that follow a footer that was passed over, and were not started.
  var passedIDs: Set<UInt32>
  /// The first footer that only an EOF byte and other bytes follow: if there is no better one, that is it.
  var loose: FileOffset?

  /// The place of the first footer that begins in the next `count` bytes and that something sensible follows.
  mutating func firstFooter(
    in input: inout ByteInput, startingBelow count: Int
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
        case .loose: loose = loose ?? found
        case .sectionID(let id):
          // Of so many that somebody must have meant them, not all.
          if passedIDs.count < 1 << 16 { passedIDs.insert(id) }
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
        switch (input.peek(), hasDescription) {
        case (SectionType.description.rawValue, _), (nil, false): return .sensible
        case (_, false): return .loose
        default: return .nothing
        }
      }
    } catch {
      return .nothing
    }
  }
}

extension SectionFooter {
  /// The bytes that a section ends with.
  fileprivate var bytes: [UInt8] {
    var output = ByteOutput()
    encode(into: &output)
    return output.bytes
  }
}
