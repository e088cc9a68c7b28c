import MappedRAMFormat
import Testing

@Suite("Length of a device's section") struct DeviceDescriptionLengthTests {
  private func device(
    _ fields: [DescribedField], _ subsections: [DescribedState] = [], opaqueSize: ByteCount? = nil
  ) -> DescribedDevice {
    DescribedDevice(
      name: "cpu", instanceID: 0,
      state: DescribedState(name: "cpu", version: 1, fields: fields, subsections: subsections),
      opaqueSize: opaqueSize)
  }

  private func field(_ size: UInt64, _ extent: DescribedField.Extent = .single) -> DescribedField {
    DescribedField(name: "x", type: "buffer", size: ByteCount(size), extent: extent)
  }

  @Test func isTheSumOfTheFields() throws {
    #expect(try DeviceDescription.bodyLength(of: device([])) == 0)
    let fields = [
      field(4), field(8, .array(count: 3)), field(5, .element(index: 9)),
      field(7, .array(count: 0)),
    ]
    #expect(try DeviceDescription.bodyLength(of: device(fields)) == 33)
  }

  @Test func subsectionsHaveAHead() throws {
    let inner = DescribedState(name: "cpu/a/b", version: 1, fields: [field(3)])
    let outer = DescribedState(
      name: "cpu/a", version: 1, fields: [field(2)], subsections: [inner])
    #expect(outer.headByteCount == 11)
    #expect(outer.byteCount == 18)
    #expect(try DeviceDescription.bodyLength(of: device([field(1)], [outer])) == 30)
  }

  @Test func ofTheExampleIsRight() throws {
    let description = try DeviceDescriptionTests.description(DeviceDescriptionTests.text)
    let lengths = try description.devices.map { device throws(FormatError) in
      try DeviceDescription.bodyLength(of: device)
    }
    #expect(lengths == [8, 27 + 13 + 4 + 15, 5])
  }

  @Test func sumsPast64BitsAreRefused() {
    let error = FormatError(.numberOverflow, at: 0x20, in: .section("cpu"))
    let last = field(.max)
    for device in [
      device([last, field(1)]), device([field(1 << 32, .array(count: 1 << 32))]),
      device([field(2, .array(count: .max))]), device([last, field(.max, .array(count: 1))]),
      device([field(.max - 5)], [DescribedState(name: "", version: 0, fields: [])]),
      device([], [DescribedState(name: "s", version: 0, fields: [last])]),
    ] {
      #expect(throws: error) { try DeviceDescription.bodyLength(of: device, at: 0x20) }
    }
  }

  @Test func mayFill64Bits() throws {
    #expect(
      try DeviceDescription.bodyLength(of: device([field(.max), field(0, .array(count: .max))]))
        == ByteCount(UInt64.max))
  }

  @Test func sizesOfADeviceOfTheOldStyleAgree() throws {
    #expect(try DeviceDescription.bodyLength(of: device([field(5)], opaqueSize: 5)) == 5)
    for size: ByteCount in [0, 4, 6] {
      #expect(
        throws: FormatError(
          .descriptionShape(path: "size", expected: "the sum of the fields"), at: 0x20,
          in: .section("cpu"))
      ) {
        try DeviceDescription.bodyLength(of: device([field(5)], opaqueSize: size), at: 0x20)
      }
    }
  }
}
