import MappedRAMFormat
import Testing

@Suite("Where decoding of a device stops") struct DeviceStateDecoderStopTests {
  private let byte = DescribedField(name: "x", type: "uint8", size: 1)

  private func error(_ kind: FormatError.Kind, at offset: FileOffset) -> FormatError {
    FormatError(kind, at: offset, in: .section("dev"))
  }

  private func shape(_ path: String, _ expected: String) -> FormatError.Kind {
    .descriptionShape(path: path, expected: expected)
  }

  @Test func everyPrefixGivesWhatStandsBefore() {
    let inner = DescribedState(name: "in", version: 1, fields: [byte, byte])
    let fields = [
      byte, DescribedField(name: "a", type: "uint16", size: 2, extent: .array(count: 2)),
      DescribedField(name: "s", type: "struct", size: 2, state: inner),
      DescribedField(name: "l", type: "qlist", size: 4, list: [inner]),
    ]
    let subsection = DescribedState(name: "sub", version: 1, fields: [byte])
    let bytes: [UInt8] =
      [1, 0, 2, 0, 3, 4, 5, 1, 6, 7, 0] + [5] + counted("sub") + be(UInt32(1)) + [8]
    let whole = DeviceStateDecoderTests.decode(bytes, fields, [subsection]).device
    #expect(whole.problem == nil)
    for count in 0..<bytes.count {
      let (device, end) = DeviceStateDecoderTests.decode(
        Array(bytes.prefix(count)), fields, [subsection])
      guard case .truncated = device.problem?.kind else {
        Issue.record("\(count) bytes: \(device)")
        continue
      }
      #expect(end <= FileOffset(0x100) + ByteCount(count))
      #expect(device.state.range == 0x100..<end)
      // Fields that were read in full are the same; only the last may be a part.
      let full = whole.state.fields.filter { $0.range.upperBound <= end }
      #expect(device.state.fields.prefix(full.count).elementsEqual(full))
      #expect(device.state.fields.count <= full.count + 1)
      #expect(device.state.subsections.count <= 1)
    }
  }

  /// A field of no bytes takes as many values as it likes; the limit is one for all devices of a caller.
  @Test func severalDevicesShareOneBudget() {
    let field = DescribedField(name: "a", type: "x", size: 0, extent: .array(count: 6))
    let device = DescribedDevice(
      name: "dev", instanceID: 0, state: DescribedState(name: "d", version: 1, fields: [field]))
    var budget = 10
    var lengths: [Int] = []
    for _ in 0..<3 {
      let none: [UInt8] = []
      var input = ByteInput(none.span)
      let decoded = DeviceStateDecoder.decode(device, from: &input, budget: &budget)
      guard case .array(let values)? = decoded.state.fields.first?.value else {
        lengths.append(0)
        continue
      }
      lengths.append(values.count)
      #expect((decoded.problem == nil) == (values.count == 6))
    }
    #expect(lengths == [6, 2, 0])
    #expect(budget == 0)
  }

  @Test func truncationNamesThePlace() {
    let field = DescribedField(name: "a", type: "uint32", size: 4, extent: .array(count: 3))
    let (device, end) = DeviceStateDecoderTests.decode([0, 0, 0, 1, 0, 0], [field])
    #expect(device.problem == error(.truncated(needed: 4, available: 2), at: 0x104))
    #expect(end == 0x104)
    #expect(device.state.fields.map(\.value) == [.array([.unsigned(1)])])
  }

  @Test(arguments: [1, 3] as [ByteCount]) func structureHasTheSizeOfItsFields(_ size: ByteCount) {
    let inner = DescribedState(name: "in", version: 1, fields: [byte, byte])
    let outer = DescribedState(
      name: "out", version: 1,
      fields: [DescribedField(name: "in", type: "struct", size: size, state: inner)])
    let field = DescribedField(name: "out", type: "struct", size: 2, state: outer)
    let (device, end) = DeviceStateDecoderTests.decode([1, 2, 3, 4], [byte, field, byte])
    #expect(device.problem == error(shape("out.in", "as long as its fields"), at: 0x101))
    #expect(device.state.fields.count == 2)
    #expect(end == 0x103)
  }

  @Test(
    arguments: [
      [4] + counted("sub") + be(UInt32(1)), [5] + counted("sun") + be(UInt32(1)),
      [5] + counted("su") + be(UInt32(1)) + [0], [5] + counted("sub") + be(UInt32(2)),
    ] as [[UInt8]])
  func subsectionMustBeTheOneDescribed(_ head: [UInt8]) {
    let subsection = DescribedState(name: "sub", version: 1, fields: [byte])
    let (device, end) = DeviceStateDecoderTests.decode([1] + head + [2], [byte], [subsection])
    #expect(device.problem == error(shape("sub", "in the section's bytes"), at: 0x101))
    #expect(end == 0x101)
    #expect(device.state.subsections == [])
    #expect(device.state.fields.count == 1)
  }

  @Test func listMustBeAsLongAsDescribed() {
    let inner = DescribedState(name: "in", version: 1, fields: [byte])
    for (bytes, offset) in [
      ([0, 0, 0, 0, 0], 0x100), ([1, 9, 0, 0, 0], 0x102), ([1, 9, 1, 9, 1], 0x104),
    ]
      as [([UInt8], FileOffset)]
    {
      let field = DescribedField(name: "l", type: "qlist", size: 5, list: [inner, inner])
      let (device, end) = DeviceStateDecoderTests.decode(bytes, [field, byte])
      #expect(device.problem == error(shape("l", "a list of length 2"), at: offset))
      #expect(end == offset)
    }
    let short = DescribedField(name: "l", type: "qlist", size: 4, list: [inner])
    #expect(
      DeviceStateDecoderTests.decode([1, 9, 0, 0], [short]).device.problem
        == error(shape("l", "as long as its fields"), at: 0x100))
  }

  @Test func sizeThatNoFileHasIsRefused() {
    let field = DescribedField(name: "b", type: "buffer", size: ByteCount(UInt64.max))
    #expect(
      DeviceStateDecoderTests.decode([1, 2], [field]).device.problem
        == error(.truncated(needed: ByteCount(UInt64.max), available: 2), at: 0x100))
  }

  /// A description of a few bytes must not be able to ask for more than a million values.
  @Test(arguments: ["buffer", "struct"]) func arraysOfNothingEndAtTheLimit(_ type: String) {
    let limit = UInt64(ImageLimits.descriptionValues)
    let state = type == "struct" ? DescribedState(name: "in", version: 1, fields: []) : nil
    func array(_ count: UInt64) -> DescribedField {
      DescribedField(name: "a", type: type, size: 0, extent: .array(count: count), state: state)
    }
    // The array is a value too.
    if type == "buffer" {
      #expect(DeviceStateDecoderTests.decode([], [array(limit - 1)]).device.problem == nil)
    }
    for count in [type == "buffer" ? limit : .max] {
      #expect(
        DeviceStateDecoderTests.decode([], [array(count)]).device.problem
          == error(
            .overLimit(.descriptionValues, found: limit + 1, limit: limit), at: 0x100))
    }
  }
}
