import LinuxIO
import MappedRAMFormat
import SystemPackage

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
      append(
        .file(file, section.offset.rawValue..<(section.offset + section.byteCount).rawValue))
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
    let file = try calling { () throws(SystemCallError) in
      try File.inMemory(name: "tail", byteCount: count.rawValue)
    }
    var offset: UInt64 = 0
    for part in tail {
      switch part {
      case .bytes(let bytes):
        try calling { () throws(SystemCallError) in try file.write(bytes, at: offset) }
      case .file(let source, let range):
        try RangeCopy(from: source, range, to: file, at: offset).run(Cancellation())
      case .reserved: break
      }
      offset += part.byteCount.rawValue
    }
    return file
  }
}

extension DeviceIdentity {
  /// Whose section it is.
  init(_ section: SectionIdentity) {
    self.init(section.idstr, instanceID: section.instanceID)
  }
}
