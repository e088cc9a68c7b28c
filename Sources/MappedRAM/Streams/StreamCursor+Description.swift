import LinuxIO
import MappedRAMFormat

// MARK: The description

extension StreamCursor {
  /// Looks for the description at the end of the file: with it, the lengths of sections are known, if it is this image's.
  ///
  /// What ends a device is of an image that was there before, if of any. An image without a description, or with something behind it,
  /// is read all the same.
  mutating func locateDescription() throws(ImageError) {
    guard let found = try placeOfLastDescription() else { return }
    do throws(ImageError) {
      use(try parseDescription(at: found).value, at: found)
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
      let bytes = try window.file.readUp(
        to: Int(count), at: FileOffset(window.end.rawValue - count))
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
    let text = try window.file.readUp(
      to: Int(min(UInt64(count), (window.end - textOffset).rawValue)), at: textOffset)
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

  /// Reads the description that the stream has led to, if there is one, and looks at what follows.
  mutating func readDescription() throws(ImageError) {
    guard try window.peek(at: position) == SectionType.description.rawValue else {
      description = nil
      remarks.append(.noDescription)
      try remarkBytesAfterEnd()
      return
    }
    let start = position
    let (description, end) = try parseDescription(at: start)
    self.description = description
    note(ImageSection(type: .description, offset: start, end: end))
    position = end
    if let found = description.pageSize, let expected = pageSize, found != expected {
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

  /// Whether an area begins at `offset`, or the first part of one.
  func hasArea(at offset: FileOffset) throws(ImageError) -> Bool {
    var window = window
    return try window.parse(at: offset, atMost: AreaHeader.byteCount) { input in
      AreaHeader.isPresent(at: input)
    }.value
  }
}

// MARK: Which description

/// The description that a stream leads to is known only once all sections have been read, and it says how long those are.
///
/// At first the one that ends the file is taken for it, since it nearly always is. It may be none of this image's: something follows
/// that, or an older image that was longer has left its own at the end of the file. So where reading with it fails, it is read once
/// more without any; and where a stream leads to another one, all is read again with that. These are three readings at the most, and
/// of one of them at a time is anything kept.
extension StreamCursor {
  /// Where the description stands that the stream has led to; `nil` where it has led to none.
  private var reachedDescription: FileOffset? {
    sections.last.flatMap { $0.type == .description ? $0.offset : nil }
  }

  /// Whether the description that the lengths of sections were taken from is the one that the stream has led to.
  private var isSettled: Bool { reachedDescription == descriptionOffset }

  /// Reads to the end of the stream by `walk`, until it is done with the description that the stream so read leads to.
  ///
  /// - Parameters:
  ///   - state: what `walk` begins with each time; then what it has come to, also where it fails.
  ///   - cursor: the cursor in it.
  /// - Throws: what `walk` throws with that description; where it leads to none, the error of the reading that came furthest;
  ///   `descriptionElsewhere` where one description leads to another one.
  static func settle<State>(
    _ state: inout State, _ cursor: WritableKeyPath<State, StreamCursor>,
    _ walk: (inout State) throws(ImageError) -> Void
  ) throws(ImageError) {
    let start = state
    let guess = start[keyPath: cursor].descriptionOffset
    do throws(ImageError) {
      try walk(&state)
    } catch {
      guard case .format(let problem, _) = error, guess != nil else { throw error }
      // What was read is not kept meanwhile: there may be a million sections.
      state = start
      state[keyPath: cursor].use(nil, at: nil)
      var isWithout = true
      do throws(ImageError) {
        try walk(&state)
        isWithout = state[keyPath: cursor].reachedDescription != guess
      } catch let other {
        guard case .format(let found, _) = other, found.offset <= problem.offset
        else { throw other }
        isWithout = false
      }
      if !isWithout {
        // Comes to the same error, and to what could be read before it.
        state = start
        try walk(&state)
        throw error
      }
    }
    guard !state[keyPath: cursor].isSettled else { return }
    let description = state[keyPath: cursor].description
    let place = state[keyPath: cursor].reachedDescription
    state = start
    state[keyPath: cursor].use(description, at: place)
    try walk(&state)
    let settled = state[keyPath: cursor]
    guard settled.isSettled else {
      throw settled.window.failure(
        .descriptionElsewhere(
          found: settled.reachedDescription, expected: settled.descriptionOffset),
        at: settled.position, in: .description)
    }
  }
}
