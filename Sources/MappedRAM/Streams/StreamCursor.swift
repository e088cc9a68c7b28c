import LinuxIO
import MappedRAMFormat

/// A place in a stream, and what stands before it: elements are passed one after the other, and noted.
///
/// An image's reader and that of a plain stream both stand on one. They read what is RAM's; the cursor knows sections, and where each
/// ends.
struct StreamCursor {
  var window: ImageWindow
  /// Where the next element begins.
  var position: FileOffset
  /// What was passed, in file order.
  private(set) var sections: [ImageSection] = []
  /// Sections that were started, by their id.
  private(set) var started: [UInt32: SectionIdentity] = [:]
  /// Whether sections end in a footer.
  var hasFooters = true
  /// The size of the target's pages, as soon as something says it.
  var pageSize: PageSize?
  /// What is unusual, but harmless.
  var remarks: [ImageRemark] = []
  /// The description of the device state, if it has been found.
  var description: DeviceDescription?
  /// Where it begins: no section can lie beyond.
  private(set) var descriptionOffset: FileOffset?
  /// What is wrong with what ends the file like a description. It is a problem of the image only if the stream leads there.
  var descriptionProblem: FormatError?
  /// What the description says of the devices' sections.
  var described = DescribedBodies()
  /// Ids that no section has, but that one would need to have for a footer to count that a search has passed over.
  var idsPassedOver: Set<UInt32> = []
  /// Records of VFIO devices that are still looked at.
  var vfioRecordsLeft = ImageLimits.vfioRecords

  /// A cursor in `window`, at `position`.
  init(_ window: ImageWindow, at position: FileOffset) {
    self.window = window
    self.position = position
  }

  /// The head of an element, which has been read, but not been passed.
  struct Head {
    var element: StreamElement
    var start: FileOffset
    var bodyStart: FileOffset

    /// The section's id, where it has one.
    var id: UInt32? {
      switch element {
      case .start(let id, _), .full(let id, _), .part(let id), .end(let id): id
      case .command, .endOfStream: nil
      }
    }

    /// Whether it is RAM's START, of whatever instance and version.
    var startsRAM: Bool {
      if case .start(_, let identity) = element {
        identity.idstr == SectionIdentity.ram.idstr
      } else {
        false
      }
    }
  }

  /// Gives `body` the next `count` bytes, or fewer at the end of the file, and moves on to where it stands then.
  mutating func read<Value>(
    atMost count: Int, _ body: (inout ByteInput) throws(FormatError) -> Value
  ) throws(ImageError) -> Value {
    let (value, end) = try window.parse(at: position, atMost: count, body)
    position = end
    return value
  }

  /// Reads the head of the next element, and stays before it.
  mutating func nextHead() throws(ImageError) -> Head {
    // Only a command can be long. No more of it is read than it says, or each small one would cost a large read.
    let most =
      try window.parse(at: position, atMost: Command.headByteCount) { input in
        StreamElement.byteCountOfCommand(at: input)
      }.value ?? StreamElement.maximumSectionHeadByteCount
    let (element, bodyStart) = try window.parse(at: position, atMost: most) {
      (input) throws(FormatError) in try StreamElement(parsing: &input)
    }
    return Head(element: element, start: position, bodyStart: bodyStart)
  }

  /// Passes the element whose head is next, to the one behind it.
  mutating func pass(_ head: Head) throws(ImageError) {
    guard sections.count < ImageLimits.sections else {
      throw window.failure(
        .overLimit(
          .sections, found: UInt64(sections.count + 1), limit: UInt64(ImageLimits.sections)),
        at: head.start, in: .sectionHeader)
    }
    position = head.bodyStart
    switch head.element {
    case .endOfStream:
      note(ImageSection(type: .endOfStream, offset: head.start, end: position))
    case .command(let command):
      var section = ImageSection(type: .command, offset: head.start, end: position)
      section.command = command
      note(section)
    case .start(let id, let identity), .full(let id, let identity):
      started[id] = identity
      try passBody(of: head, id, identity)
    case .part(let id), .end(let id):
      guard let identity = started[id] else {
        throw window.failure(.unknownSectionID(id), at: head.start + 1, in: .sectionHeader)
      }
      try passBody(of: head, id, identity)
    }
  }

  private mutating func passBody(
    of head: Head, _ id: UInt32, _ identity: SectionIdentity
  ) throws(ImageError) {
    position =
      identity.idstr == SectionIdentity.ram.idstr
      ? try endOfRAMBody(from: position)
      : try endOfBody(head.element.type, id, identity, from: position)
    try passEnd(of: head, id, identity)
  }

  /// Passes the footer of the section whose head this is and whose body ends here, and notes the section.
  private mutating func passEnd(
    of head: Head, _ id: UInt32, _ identity: SectionIdentity
  ) throws(ImageError) {
    let bodyEnd = position
    if hasFooters {
      let context = FormatError.Context.section(identity.idstr)
      _ = try read(atMost: SectionFooter.byteCount) { (input) throws(FormatError) in
        try SectionFooter(parsing: &input, of: id, in: context)
      }
    }
    started[id] = identity
    note(
      ImageSection(
        type: head.element.type, id: id, identity: identity, offset: head.start, end: position,
        body: head.bodyStart..<bodyEnd))
  }

  /// Enters the body of RAM's START, whose head is next.
  ///
  /// - Returns: bytes of RAM that its block list has.
  mutating func enterRAM(_ head: Head) throws(ImageError) -> ByteCount {
    guard case .start(_, let identity) = head.element else { preconditionFailure("RAM's START") }
    guard identity.instanceID == SectionIdentity.ram.instanceID else {
      throw window.failure(
        .ramSectionInstance(found: identity.instanceID),
        at: FileOffset(head.bodyStart.rawValue - 8), in: .section(identity.idstr))
    }
    guard identity.version == SectionIdentity.ram.version else {
      throw window.failure(
        .ramSectionVersion(found: identity.version),
        at: FileOffset(head.bodyStart.rawValue - 4), in: .section(identity.idstr))
    }
    position = head.bodyStart
    let word = try read(atMost: RAMWord.byteCount) { (input) throws(FormatError) in
      try RAMWord(parsing: &input, in: .ramBlockList)
    }
    guard let total = word.memorySize else {
      throw window.failure(.ramFlags(found: word.flags), at: head.bodyStart, in: .ramBlockList)
    }
    guard total <= ImageLimits.ramBytes else {
      throw window.failure(
        .overLimit(.ramBytes, found: total.rawValue, limit: ImageLimits.ramBytes.rawValue),
        at: head.bodyStart, in: .ramBlockList)
    }
    return total
  }

  /// Leaves a section of RAM, whose head this is and whose body ends here. By its START it is found out whether sections have footers.
  mutating func leaveRAM(_ head: Head) throws(ImageError) {
    guard let id = head.id else { preconditionFailure("a section of RAM") }
    if head.startsRAM {
      hasFooters = try window.peek(at: position) == SectionType.footer.rawValue
    }
    try passEnd(of: head, id, .ram)
  }

  /// Notes an element that has been passed.
  mutating func note(_ section: ImageSection) { sections.append(section) }

  /// Takes RAM's section `id` as started.
  mutating func startRAM(_ id: UInt32) { started[id] = .ram }

  /// Takes the lengths of sections from `description`, which begins at `offset`; from none with `nil`.
  mutating func use(_ description: DeviceDescription?, at offset: FileOffset?) {
    self.description = description
    descriptionOffset = offset
    described = DescribedBodies(description?.devices ?? [])
    for section in sections where section.type == .full {
      if let identity = section.identity { described.pass(identity) }
    }
  }
}

/// What a description says of the bodies of sections.
///
/// A section may stand in the stream any number of times, and a device may have hundreds of thousands of fields, so these are counted
/// once.
struct DescribedBodies {
  /// Bytes of each device's body, or what is wrong with the numbers.
  private var lengths: [Result<ByteCount, FormatError>] = []
  /// Which of these is whose.
  private var sections = DescribedSections(of: [])

  init(_ devices: [DescribedDevice] = []) {
    lengths = devices.map { device in
      do throws(FormatError) {
        return .success(try DeviceDescription.bodyLength(of: device))
      } catch {
        return .failure(error)
      }
    }
    sections = DescribedSections(of: devices)
  }

  /// Bytes of the next body of `identity`; `nil` if nothing is said of it.
  mutating func next(_ identity: SectionIdentity) throws(FormatError) -> ByteCount? {
    guard let index = sections.next(identity) else { return nil }
    return try lengths[index].get()
  }

  /// Passes over the next body of `identity`.
  mutating func pass(_ identity: SectionIdentity) { _ = sections.next(identity) }
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
