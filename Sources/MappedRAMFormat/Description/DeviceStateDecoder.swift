/// Takes the bytes of a device's section apart, as the device description says.
///
/// | type | bytes | value |
/// | --- | --- | --- |
/// | `uint8` to `uint64` | 1 to 8, big-endian | unsigned |
/// | `int8` to `int64`, `timer` | 1 to 8, big-endian, two's complement | signed |
/// | `bool` | 1 | 0 or 1; another byte is taken as unsigned |
/// | `struct`, `tmp`, `vstruct` | its fields, its subsections | structure |
/// | `qtailq`, `qlist` | 0x01 and a structure for each element; 0x00 | array of structures |
/// | `nullptr` | 1, 0x30 | absent |
/// | any other | `size` | bytes |
///
/// A word behind an integer's type names a check that the loader makes: `equal` to its own value; `le`, less than or equal
/// to it (no byte order). Sources: QEMU v10.0.2, `migration/vmstate-types.c`; observed: `int32 le` of a PCI device's
/// `version_id` is 00 00 00 02.
package struct DeviceStateDecoder {
  /// Values that may still be made: a description can ask for any number without a single byte.
  private var budget: Int
  private var stop: Stop?

  /// Why and where decoding ended early.
  private struct Stop {
    var problem: Problem
    var offset: FileOffset
    /// Names from the field that is wrong up to the device.
    var path: [String] = []
  }

  private enum Problem {
    case kind(FormatError.Kind)
    case shape(expected: String)
  }

  private init(budget: Int) { self.budget = budget }

  /// Decodes the body of the section of `device`, which begins at the input, and leaves the input behind what was decoded.
  ///
  /// - Complexity: O(bytes + fields of the description), at most `ImageLimits.descriptionValues` values.
  /// - Returns: the state, with what stopped the decoder if it did not come to the end of the description. The problems:
  ///   `truncated`; `overLimit`; `descriptionShape`, where sizes contradict each other or the bytes have no subsection where
  ///   there should be one.
  package static func decode(
    _ device: DescribedDevice, from input: inout ByteInput
  ) -> DecodedDevice {
    var budget = ImageLimits.descriptionValues
    return decode(device, from: &input, budget: &budget)
  }

  /// Decodes as the other, and makes no more than `budget` values, which are taken off it: a description can ask for as many
  /// in each of its devices, and whoever decodes several sets one limit for all.
  package static func decode(
    _ device: DescribedDevice, from input: inout ByteInput, budget: inout Int
  ) -> DecodedDevice {
    var decoder = DeviceStateDecoder(budget: budget)
    let state = decoder.contents(of: device.state, from: input.offset, &input)
    budget = decoder.budget
    let problem = decoder.stop.map { stop in
      let kind: FormatError.Kind =
        switch stop.problem {
        case .kind(let kind): kind
        case .shape(let expected):
          .descriptionShape(path: stop.path.reversed().joined(separator: "."), expected: expected)
        }
      return FormatError(kind, at: stop.offset, in: .section(device.name))
    }
    return DecodedDevice(state: state, problem: problem)
  }

  /// Decodes fields and subsections; `start` is where the state's bytes, a head included, begin.
  private mutating func contents(
    of state: DescribedState, from start: FileOffset, _ input: inout ByteInput
  ) -> DecodedState {
    var decoded = DecodedState(
      name: state.name, version: state.version, fields: [], subsections: [], range: start..<start)
    decoded.fields.reserveCapacity(min(state.fields.count, budget))
    for field in state.fields where stop == nil {
      let fieldStart = input.offset
      if let (value, index) = value(of: field, &input) {
        decoded.fields.append(
          DecodedField(
            name: field.name, index: index, type: field.type, value: value,
            range: fieldStart..<input.offset))
      }
      stop?.path.append(field.name)
    }
    for subsection in state.subsections where stop == nil {
      if let value = self.subsection(subsection, &input) { decoded.subsections.append(value) }
      stop?.path.append(subsection.name)
    }
    decoded.range = start..<input.offset
    return decoded
  }

  /// Decodes all elements of a field. What there is of it where decoding stops within.
  private mutating func value(
    of field: DescribedField, _ input: inout ByteInput
  ) -> (DecodedValue, index: UInt64?)? {
    switch field.extent {
    case .single: return element(of: field, &input).map { ($0, nil) }
    case .element(let index): return element(of: field, &input).map { ($0, index) }
    case .array(let count):
      guard spend(at: input.offset) else { return nil }
      var elements: [DecodedValue] = []
      let possible = input.remaining / max(1, Int(clamping: field.size.rawValue)) + 1
      elements.reserveCapacity(min(Int(clamping: count), possible, budget))
      var index: UInt64 = 0
      while index < count, stop == nil {
        if let value = element(of: field, &input) { elements.append(value) }
        index += 1
      }
      return (.array(elements), nil)
    }
  }

  private mutating func element(
    of field: DescribedField, _ input: inout ByteInput
  ) -> DecodedValue? {
    let start = input.offset
    guard spend(at: start) else { return nil }
    if let state = field.state {
      let decoded = contents(of: state, from: start, &input)
      if stop == nil, decoded.range.byteCount != field.size {
        stop = Stop(problem: .shape(expected: "as long as its fields"), offset: start)
      }
      return .structure(decoded)
    }
    if let list = field.list { return self.list(list, of: field, &input) }
    do {
      return try DecodedValue(scalar: field, &input)
    } catch {
      stop = Stop(problem: .kind(error.kind), offset: error.offset)
      return nil
    }
  }

  private mutating func list(
    _ list: [DescribedState], of field: DescribedField, _ input: inout ByteInput
  ) -> DecodedValue {
    let start = input.offset
    let expected = "a list of length \(list.count)"
    var elements: [DecodedValue] = []
    for state in list where stop == nil {
      guard spend(at: input.offset), read(1, expected: expected, &input) else { break }
      elements.append(.structure(contents(of: state, from: input.offset, &input)))
    }
    if stop == nil { _ = read(0, expected: expected, &input) }
    if stop == nil, input.offset - start != field.size {
      stop = Stop(problem: .shape(expected: "as long as its fields"), offset: start)
    }
    return .array(elements)
  }

  /// Reads a byte that must be `marker`. Whether it is.
  private mutating func read(
    _ marker: UInt8, expected: String, _ input: inout ByteInput
  ) -> Bool {
    let before = input
    do {
      if try input.readBigEndian(UInt8.self, in: .sectionHeader) == marker { return true }
      stop = Stop(problem: .shape(expected: expected), offset: before.offset)
      input = before
    } catch {
      stop = Stop(problem: .kind(error.kind), offset: error.offset)
    }
    return false
  }

  private mutating func subsection(
    _ described: DescribedState, _ input: inout ByteInput
  ) -> DecodedState? {
    let start = input.offset
    guard spend(at: start) else { return nil }
    let before = input
    do {
      let type = try input.readBigEndian(UInt8.self, in: .sectionHeader)
      let length = try input.readBigEndian(UInt8.self, in: .sectionHeader)
      let name = try input.readBytes(Int(length), in: .sectionHeader)
      let version = try input.readBigEndian(Int32.self, in: .sectionHeader)
      guard type == SectionType.subsection.rawValue, name.elementsEqual(described.name.utf8),
        version == described.version
      else {
        stop = Stop(problem: .shape(expected: "in the section's bytes"), offset: start)
        input = before
        return nil
      }
      return contents(of: described, from: start, &input)
    } catch {
      input = before
      stop = Stop(problem: .kind(error.kind), offset: error.offset)
      return nil
    }
  }

  /// Takes one value off the budget. Whether there was one.
  private mutating func spend(at offset: FileOffset) -> Bool {
    guard budget > 0 else {
      let limit = UInt64(ImageLimits.descriptionValues)
      stop = Stop(
        problem: .kind(.overLimit(.descriptionValues, found: limit + 1, limit: limit)),
        offset: offset)
      return false
    }
    budget -= 1
    return true
  }
}
