import LinuxIO
public import MappedRAMFormat

/// A device whose state is not the same in two images.
public struct DeviceComparison: Equatable, Sendable {
  /// The device.
  public var identity: DeviceIdentity
  /// What differs.
  public var difference: Difference

  /// What differs about a device.
  public enum Difference: Equatable, Sendable {
    /// Only the first image has it.
    case onlyInFirst
    /// Only the second image has it.
    case onlyInSecond
    /// Its state has another version.
    case version(first: UInt32, second: UInt32)
    /// Its state has other bytes.
    case state(StateDifferences)
  }

  /// How two states of a device differ.
  public struct StateDifferences: Equatable, Sendable {
    /// Bytes of the state in the first image.
    public var firstByteCount: ByteCount
    /// Bytes in the second.
    public var secondByteCount: ByteCount
    /// The first byte that differs, counted from the state's first.
    public var firstDifference: UInt64
    /// The fields that differ, in file order; `nil` where the descriptions do not allow to tell.
    public var fields: [FieldDifference]?
    /// Fields that differ beyond those.
    public var fieldsOmitted = 0

    /// Fields that are named of a device.
    package static let mostFields = 1000
  }

  /// A field that differs.
  public struct FieldDifference: Equatable, Sendable {
    /// The field and what it is in: `ide.0.drives[1].feature`.
    public var path: String
    /// What it holds in the first image; `nil` where that does not have it.
    package var first: DecodedValue?
    /// What it holds in the second.
    package var second: DecodedValue?
  }
}

/// A device whose states behind the stream are not the same in two images.
public struct BufferComparison: Equatable, Sendable {
  /// The device.
  public var identity: DeviceIdentity
  /// What differs.
  public var difference: Difference

  /// What differs about a device.
  public enum Difference: Equatable, Sendable {
    /// Only the first image has it.
    case onlyInFirst
    /// Only the second image has it.
    case onlyInSecond
    /// Buffers with these numbers differ, or are in one image only.
    case buffers([Int])
  }

  /// The devices that differ, by the sums of their buffers.
  static func all(
    of ours: [StoredDevice], with theirs: [StoredDevice]
  ) -> [BufferComparison] {
    var found: [BufferComparison] = []
    for device in ours {
      guard let other = theirs.first(where: { $0.identity == device.identity }) else {
        found.append(BufferComparison(identity: device.identity, difference: .onlyInFirst))
        continue
      }
      let numbers = (0..<max(device.buffers.count, other.buffers.count)).filter { number in
        guard number < device.buffers.count, number < other.buffers.count else { return true }
        let (one, two) = (device.buffers[number], other.buffers[number])
        return one.byteCount != two.byteCount || one.isConfiguration != two.isConfiguration
          || one.sum != two.sum
      }
      if !numbers.isEmpty {
        found.append(BufferComparison(identity: device.identity, difference: .buffers(numbers)))
      }
    }
    for device in theirs where !ours.contains(where: { $0.identity == device.identity }) {
      found.append(BufferComparison(identity: device.identity, difference: .onlyInSecond))
    }
    return found
  }
}

extension DeviceComparison {
  /// A section of type FULL, and what the description says of it.
  private struct Device {
    var identity: SectionIdentity
    var body: Range<FileOffset>
    var description: DescribedDevice?
  }

  /// Which section of a device it is: QEMU writes one, and the format allows more.
  private struct Key: Hashable {
    var identity: DeviceIdentity
    var number: Int
  }

  /// The devices whose state differs.
  ///
  /// - Complexity: O(bytes of the device state): memory holds two states at a time, and no more of each than a limit.
  static func all(
    of first: ComparedContents, with second: ComparedContents
  ) throws(ImageError) -> [DeviceComparison] {
    let (ours, theirs) = (devices(of: first), devices(of: second))
    let others = Dictionary(uniqueKeysWithValues: theirs.map { ($0.key, $0.device) })
    let known = Set(ours.map(\.key))
    var found: [DeviceComparison] = []
    var budget = ImageLimits.descriptionValues
    for (key, device) in ours {
      guard let other = others[key] else {
        found.append(DeviceComparison(identity: key.identity, difference: .onlyInFirst))
        continue
      }
      if let difference = try difference(
        device, first.stateFile, other, second.stateFile, &budget)
      {
        found.append(DeviceComparison(identity: key.identity, difference: difference))
      }
    }
    for (key, _) in theirs where !known.contains(key) {
      found.append(DeviceComparison(identity: key.identity, difference: .onlyInSecond))
    }
    return found
  }

  private static func devices(of image: ComparedContents) -> [(key: Key, device: Device)] {
    let described = image.description?.devices ?? []
    var sections = DescribedSections(of: described)
    var numbers: [DeviceIdentity: Int] = [:]
    return image.sections.filter { $0.type == .full }.compactMap { section in
      guard let identity = section.identity else { return nil }
      let name = DeviceIdentity(identity)
      let number = numbers[name, default: 0]
      numbers[name] = number + 1
      return (
        Key(identity: name, number: number),
        Device(
          identity: identity, body: section.body,
          description: sections.next(identity).map { described[$0] })
      )
    }
  }

  private static func difference(
    _ one: Device, _ file: ImageFile, _ other: Device, _ otherFile: ImageFile, _ budget: inout Int
  ) throws(ImageError) -> Difference? {
    guard one.identity.version == other.identity.version else {
      return .version(first: one.identity.version, second: other.identity.version)
    }
    guard let place = try firstDifference(one.body, file, other.body, otherFile) else { return nil }
    var found = StateDifferences(
      firstByteCount: one.body.byteCount, secondByteCount: other.body.byteCount,
      firstDifference: place)
    if let (state, otherState) = try decoded(one, file, other, otherFile, &budget) {
      var fields = FieldSearch()
      fields.compare(state, otherState, in: "")
      // Bytes that no field has, or that are coded in another way.
      if fields.count > 0 {
        found.fields = fields.found
        found.fieldsOmitted = fields.count - fields.found.count
      }
    }
    return .state(found)
  }

  /// The first byte that two states do not have in common.
  private static func firstDifference(
    _ one: Range<FileOffset>, _ file: ImageFile, _ other: Range<FileOffset>, _ otherFile: ImageFile
  ) throws(ImageError) -> UInt64? {
    let shorter = min(one.byteCount, other.byteCount).rawValue
    var done: UInt64 = 0
    while done < shorter {
      try file.cancellation.check()
      let count = Int(min(shorter - done, UInt64(ImageFile.chunkBytes)))
      let bytes = try file.read(count, at: one.lowerBound + ByteCount(done))
      let others = try otherFile.read(count, at: other.lowerBound + ByteCount(done))
      if bytes != others {
        let same = zip(bytes, others).prefix { $0 == $1 }.count
        return done + UInt64(same)
      }
      done += UInt64(count)
    }
    return one.byteCount == other.byteCount ? nil : shorter
  }

  /// The most bytes of a state that are taken apart.
  private static let mostBytes = ByteCount(UInt64(16) << 20)

  /// The fields of two states, by that of the two descriptions which tells more of them; `nil` where none tells all of both.
  ///
  /// That of a capture says nothing of the fields.
  private static func decoded(
    _ one: Device, _ file: ImageFile, _ other: Device, _ otherFile: ImageFile,
    _ budget: inout Int
  ) throws(ImageError) -> (DecodedState, DecodedState)? {
    guard max(one.body.byteCount, other.body.byteCount) <= mostBytes else { return nil }
    let bytes = try file.read(Int(one.body.byteCount.rawValue), at: one.body.lowerBound)
    let others = try otherFile.read(Int(other.body.byteCount.rawValue), at: other.body.lowerBound)
    var found: (DecodedState, DecodedState)?
    for description in [one.description, other.description].compactMap(\.self) {
      guard let state = decoded(bytes, by: description, &budget),
        let second = decoded(others, by: description, &budget)
      else { continue }
      if found.map({ $0.0.partCount < state.partCount }) ?? true { found = (state, second) }
    }
    return found
  }

  private static func decoded(
    _ bytes: [UInt8], by description: DescribedDevice, _ budget: inout Int
  ) -> DecodedState? {
    guard budget > 0 else { return nil }
    // SAFETY: a UInt8 has no padding, so each of the bytes has a value.
    var input = ByteInput(unsafe bytes.span.bytes)
    let decoded = DeviceStateDecoder.decode(description, from: &input, budget: &budget)
    return decoded.problem == nil && input.remaining == 0 ? decoded.state : nil
  }
}

extension DecodedState {
  /// Fields and subsections, those inside others not counted.
  fileprivate var partCount: Int { fields.count + subsections.count }
}

/// The fields that differ between two states.
private struct FieldSearch {
  var found: [DeviceComparison.FieldDifference] = []
  var count = 0

  /// A field or a subsection.
  private struct Named {
    var name: String
    var value: DecodedValue
  }

  private mutating func note(_ path: String, _ first: DecodedValue?, _ second: DecodedValue?) {
    count += 1
    guard found.count < DeviceComparison.StateDifferences.mostFields else { return }
    found.append(
      DeviceComparison.FieldDifference(path: path, first: first, second: second))
  }

  mutating func compare(_ one: DecodedState, _ other: DecodedState, in path: String) {
    let prefix = path.isEmpty ? "" : path + "."
    let (fields, others) = (Self.named(one.fields), Self.named(other.fields))
    compare(fields, others, in: prefix)
    compare(Self.named(one.subsections), Self.named(other.subsections), in: prefix)
  }

  /// Compares what has the same name; what only one of them has is noted.
  private mutating func compare(_ ones: [Named], _ others: [Named], in prefix: String) {
    let known = Dictionary(
      others.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    for one in ones {
      if let other = known[one.name] {
        compare(one.value, other, in: prefix + one.name)
      } else {
        note(prefix + one.name, one.value, nil)
      }
    }
    let names = Set(ones.map(\.name))
    for other in others where !names.contains(other.name) {
      note(prefix + other.name, nil, other.value)
    }
  }

  private mutating func compare(_ one: DecodedValue, _ other: DecodedValue, in path: String) {
    switch (one, other) {
    case (.structure(let state), .structure(let second)): compare(state, second, in: path)
    case (.array(let elements), .array(let others)) where elements.count == others.count:
      for (index, (element, second)) in zip(elements, others).enumerated() {
        compare(element, second, in: "\(path)[\(index)]")
      }
    default: if one != other { note(path, one, other) }
    }
  }

  /// Fields by names that tell them apart.
  private static func named(_ fields: [DecodedField]) -> [Named] {
    unique(
      fields.map { field in
        Named(name: field.name + (field.index.map { "[\($0)]" } ?? ""), value: field.value)
      })
  }

  private static func named(_ states: [DecodedState]) -> [Named] {
    unique(states.map { Named(name: $0.name, value: .structure($0)) })
  }

  private static func unique(_ all: [Named]) -> [Named] {
    var seen: [String: Int] = [:]
    return all.map { one in
      let number = seen[one.name, default: 0]
      seen[one.name] = number + 1
      return number == 0 ? one : Named(name: "\(one.name)#\(number)", value: one.value)
    }
  }
}
