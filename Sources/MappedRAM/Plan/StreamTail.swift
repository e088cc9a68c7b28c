public import LinuxIO
public import MappedRAMFormat
import SystemPackage

/// Bytes of a stream that go into an image as they are.
public enum StreamBytes: Sendable {
  /// These.
  case bytes([UInt8])
  /// A part of a file.
  case file(File, Range<FileOffset>)
  /// So many that somebody else writes: a device's state, by the channels.
  case reserved(ByteCount)

  /// How many they are.
  public var byteCount: ByteCount {
    switch self {
    case .bytes(let bytes): ByteCount(bytes.count)
    case .file(_, let range): range.byteCount
    case .reserved(let count): count
    }
  }
}

extension SavePlan {
  /// The same plan with the states of `devices`, and no others: behind the stream, or as sections of it.
  ///
  /// - Throws: `PlanError.deviceTwice`, `.deviceName`, `.tooManyDevices`, `.deviceTooLong`; for a device that is to be a section
  ///   `.sectionWithoutSize`, `.sectionTaken`, `.tailTooLong`, and what is wrong with the stream's tail, which has to be read.
  public func with(devices: [DeviceSource]) throws(ImageError) -> SavePlan {
    guard devices.count <= ImageLimits.devices else {
      throw .plan(.tooManyDevices(found: devices.count, limit: ImageLimits.devices))
    }
    var seen: Set<DeviceIdentity> = []
    for device in devices {
      guard device.identity.isNameValid else { throw .plan(.deviceName(device.identity.idstr)) }
      guard seen.insert(device.identity).inserted else {
        throw .plan(.deviceTwice(device.identity))
      }
    }
    guard !devices.isEmpty || !self.devices.isEmpty else { return self }
    var plan = self
    plan.devices = devices
    plan.tail = ownTail
    plan.sectionBodies = [:]
    let sections = devices.filter(\.isSection)
    if !sections.isEmpty {
      let tail = try SectionedTail(ownTail, of: self, with: sections)
      plan.tail = tail.parts
      plan.sectionBodies = tail.bodies
    }
    guard plan.end.rawValue <= mostBytes else {
      throw .format(
        FormatError(.numberOverflow, at: layout.streamOffset, in: .endOfStream), in: path)
    }
    let firstPlace = DeviceArea(start: plan.end, table: plan.end, devices: []).firstPlace
    for device in devices {
      guard let places = device.fixedPlaces else { continue }
      try device.checkRoom(for: places.end, at: firstPlace)
    }
    return plan
  }
}

/// The most bytes that a file can have.
private let mostBytes = UInt64(Int64.max)

extension DeviceSource {
  /// Makes sure that a file can have `byteCount` bytes of this device at `offset`. Sizes come from users' files.
  fileprivate func checkRoom(
    for byteCount: UInt64, at offset: FileOffset
  ) throws(ImageError) {
    let room = mostBytes - min(mostBytes, offset.rawValue)
    guard byteCount <= room else {
      throw .plan(.deviceTooLong(identity, found: byteCount, limit: room))
    }
  }
}

/// A tail with sections of type FULL in it whose bodies the channels write.
private struct SectionedTail {
  private(set) var parts: [StreamBytes] = []
  /// Where the bodies begin.
  private(set) var bodies: [DeviceIdentity: FileOffset] = [:]
  private var position: FileOffset

  /// Bytes of a tail that is read and kept in memory: far more than QEMU's own devices have.
  private static let mostTailBytes = ByteCount(UInt64(256) << 20)

  init(
    _ tail: [StreamBytes], of plan: SavePlan, with devices: [DeviceSource]
  ) throws(ImageError) {
    position = plan.layout.tail
    let file = try Self.inMemory(tail)
    let stream = try DeviceStateStream(
      reading: file, pageSize: plan.pageSize, ramSectionID: plan.prologue.ramSectionID,
      hasFooters: plan.prologue.hasFooters)
    let names = Set(devices.map(\.identity))
    var nextID = (stream.sections.compactMap(\.id) + [plan.prologue.ramSectionID]).max() ?? 0
    for section in stream.sections where section.type != .endOfStream {
      guard section.type != .description else { continue }
      if let identity = section.identity.map({ DeviceIdentity($0) }), names.contains(identity) {
        // The section of a device that QEMU saved at once is replaced; one that came in rounds has no one place.
        guard section.type == .full else { throw .plan(.sectionTaken(identity)) }
        continue
      }
      append(.file(file, section.bytes))
    }
    var added: [(identity: SectionIdentity, bodyBytes: ByteCount)] = []
    for device in devices {
      guard case .section(let version) = device.placement,
        let byteCount = device.source.byteCount.map({ ByteCount($0) })
      else { throw .plan(.sectionWithoutSize(device.identity)) }
      let (id, overflows) = nextID.addingReportingOverflow(1)
      guard !overflows else { throw .plan(.sectionTaken(device.identity)) }
      nextID = id
      let identity = SectionIdentity(
        idstr: device.identity.idstr, instanceID: device.identity.instanceID, version: version)
      append { StreamElement.full(id: id, identity).encode(into: &$0) }
      try device.checkRoom(for: byteCount.rawValue, at: position)
      bodies[device.identity] = position
      append(.reserved(byteCount))
      if stream.hasFooters { append { SectionFooter(id: id).encode(into: &$0) } }
      added.append((identity, byteCount))
    }
    append { StreamElement.endOfStream.encode(into: &$0) }
    if let description = stream.description {
      do throws(FormatError) {
        let complete = try description.replacing(devices: added)
        append { complete.encode(into: &$0) }
      } catch {
        throw .format(error, in: file.path)
      }
    }
  }

  private mutating func append(_ part: StreamBytes) {
    parts.append(part)
    position = position + part.byteCount
  }

  private mutating func append(_ encode: (inout ByteOutput) -> Void) {
    var output = ByteOutput()
    encode(&output)
    append(.bytes(output.bytes))
  }

  /// All parts in one file that is in memory alone.
  private static func inMemory(_ tail: [StreamBytes]) throws(ImageError) -> File {
    let count = tail.reduce(ByteCount.zero) { $0 + $1.byteCount }
    guard count <= mostTailBytes else {
      throw .plan(.tailTooLong(found: count.rawValue, limit: mostTailBytes.rawValue))
    }
    let file = try ImageFile(inMemory: "tail", byteCount: count)
    var offset = FileOffset.zero
    for part in tail {
      try file.write(part, at: offset)
      offset = offset + part.byteCount
    }
    return file.file
  }
}

extension DeviceIdentity {
  /// Whose section it is.
  init(_ section: SectionIdentity) {
    self.init(section.idstr, instanceID: section.instanceID)
  }
}

extension SavePlan {
  /// The same plan with a description that states that the slots of absent pages hold zeros or are holes, for an image in which some
  /// are no holes: whoever maps it then need not look.
  ///
  /// Made after the pages are written and the VM, if there is one, is resumed: only then is it known whether it is needed.
  ///
  /// - Returns: `nil` where the plan does not want it, and where the stream cannot grow or has nothing to say it in: there is no
  ///   description, something follows it, or it is at its limit. The image is as good without.
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func statingZeroSlots() throws(ImageError) -> SavePlan? {
    guard statesZeroSlots, devices.allSatisfy(\.isSection) else { return nil }
    guard let stating = try tail.statingZeroSlots() else { return nil }
    var plan = self
    plan.tail = stating
    return plan
  }

  /// The plan for a file of this kind. On a device slots hold what was there before, so what a description that was handed in says of
  /// zeros is withdrawn; the stream is as long as before.
  ///
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func fitting(_ kind: File.Kind) throws(ImageError) -> SavePlan {
    guard kind == .blockDevice else { return self }
    var plan = self
    plan.tail = try tail.withdrawingZeroSlots() ?? tail
    return plan
  }
}

extension SavePlan {
  /// The text of the description that ends the stream, as it stands there; `nil` where none does.
  ///
  /// - Throws: `ImageError.system`, where the tail cannot be read.
  func descriptionText() throws(ImageError) -> [UInt8]? { try tail.description()?.text }
}

extension [StreamBytes] {
  /// The last of these bytes, as many as may be in a description, and those of them that are the text of the one that ends them; `nil`
  /// where none does.
  fileprivate func description() throws(ImageError) -> (
    text: [UInt8], place: FileOffset, lastByteCount: ByteCount
  )? {
    guard let last else { return nil }
    let bytes = try last.lastBytes(
      DeviceDescription.headByteCount + Int(ImageLimits.descriptionBytes.rawValue))
    let end = FileOffset(UInt64(bytes.count))
    guard let place = DeviceDescription.locate(inLast: bytes.span, endingAt: end) else {
      return nil
    }
    let text = bytes[(Int(place.rawValue) + DeviceDescription.headByteCount)...]
    return ([UInt8](text), place, ByteCount(bytes.count))
  }

  /// The same bytes with that statement in the description; `nil` where it cannot be made.
  fileprivate func statingZeroSlots() throws(ImageError) -> [StreamBytes]? {
    try describing { (description) throws(FormatError) in
      try description.statingThatAbsentSlotsAreZero()
    }
  }

  /// The same without it; `nil` where it is not made.
  fileprivate func withdrawingZeroSlots() throws(ImageError) -> [StreamBytes]? {
    try describing { (description) throws(FormatError) in
      description.absentSlotsAreZero ? try description.withdrawingThatAbsentSlotsAreZero() : nil
    }
  }

  /// The same with what `change` makes of the description that ends them; `nil` where none does, or it makes none.
  private func describing(
    _ change: (DeviceDescription) throws(FormatError) -> DeviceDescription?
  ) throws(ImageError) -> [StreamBytes]? {
    guard let last, let (text, place, lastByteCount) = try description() else { return nil }
    var output = ByteOutput()
    do throws(FormatError) {
      guard let changed = try change(DeviceDescription(text: text)) else { return nil }
      changed.encode(into: &output)
    } catch {
      // What is wrong with a description that somebody handed in is told when the image is read back.
      return nil
    }
    let before = last.byteCount - lastByteCount + (place - .zero)
    return dropLast() + [last.prefix(before), .bytes(output.bytes)]
  }
}

extension StreamBytes {
  /// The last `count` of these bytes, or all if they are fewer; none of those that somebody else writes.
  fileprivate func lastBytes(_ count: Int) throws(ImageError) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return Array(bytes.suffix(count))
    case .file(let file, let range):
      let count = min(ByteCount(count), range.byteCount)
      return try ImageFile(file).readUp(
        to: Int(count.rawValue), at: FileOffset(range.upperBound.rawValue - count.rawValue))
    case .reserved: return []
    }
  }

  /// The first `count` of these bytes.
  fileprivate func prefix(_ count: ByteCount) -> StreamBytes {
    switch self {
    case .bytes(let bytes): .bytes(Array(bytes.prefix(Int(count.rawValue))))
    case .file(let file, let range): .file(file, range.lowerBound..<(range.lowerBound + count))
    case .reserved: .reserved(count)
    }
  }
}
