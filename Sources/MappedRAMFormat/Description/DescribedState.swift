/// What a device description says about one state: the fields that stand in the stream one after the other, then the
/// subsections.
///
/// QEMU writes one for each of its own `VMStateDescription`s (source: QEMU v10.0.2, `migration/vmstate.c`,
/// `vmstate_save_state_v` and `vmsd_desc_field_start`).
package struct DescribedState: Equatable, Sendable {
  /// QEMU's name for the form of this state.
  package var name: String
  /// The version of this state.
  package var version: Int32
  /// The fields in the order of the stream.
  package var fields: [DescribedField]
  /// The subsections in the order of the stream; each has in it 0x05, one byte of length, name, version (4, big-endian),
  /// then its own fields and subsections.
  package var subsections: [DescribedState]

  /// A state of its parts.
  package init(
    name: String, version: Int32, fields: [DescribedField], subsections: [DescribedState] = []
  ) {
    self.name = name
    self.version = version
    self.fields = fields
    self.subsections = subsections
  }

  /// Bytes of the fields and subsections in the stream, or `nil` where they leave 64 bits.
  package var byteCount: ByteCount? {
    var sum = ByteCount.zero
    for field in fields {
      guard let bytes = field.byteCount, let next = sum.adding(bytes) else { return nil }
      sum = next
    }
    for subsection in subsections {
      guard let bytes = subsection.byteCount,
        let next = sum.adding(bytes)?.adding(subsection.headByteCount)
      else { return nil }
      sum = next
    }
    return sum
  }

  /// Bytes of the head that this state has as a subsection.
  package var headByteCount: ByteCount { ByteCount(1 + 1 + name.utf8.count + 4) }
}

/// One field of a state, or an array of equal fields.
package struct DescribedField: Equatable, Sendable {
  /// The field's name in QEMU's source, with `[k]` behind it where fields of a state share a name.
  package var name: String
  /// QEMU's name for the way the field is coded: `uint32`, `buffer`, `struct` and some dozens more.
  package var type: String
  /// Bytes of one element in the stream.
  package var size: ByteCount
  /// Whether this is one value, an array, or an element of an array whose elements are listed one by one.
  package var extent: Extent
  /// What is in the field, if it is a state of its own.
  package var state: DescribedState?
  /// What is in the elements, if the field is a list: each element has 0x01 before it, and 0x00 ends the list.
  package var list: [DescribedState]?

  /// How many values a field stands for.
  package enum Extent: Equatable, Sendable {
    case single
    case array(count: UInt64)
    case element(index: UInt64)
  }

  /// A field of its parts.
  package init(
    name: String, type: String, size: ByteCount, extent: Extent = .single,
    state: DescribedState? = nil, list: [DescribedState]? = nil
  ) {
    self.list = list
    self.name = name
    self.type = type
    self.size = size
    self.extent = extent
    self.state = state
  }

  /// Bytes of all elements in the stream, or `nil` where they leave 64 bits.
  package var byteCount: ByteCount? {
    guard case .array(let count) = extent else { return size }
    let (product, overflow) = size.rawValue.multipliedReportingOverflow(by: count)
    return overflow ? nil : ByteCount(product)
  }
}

/// One device of a device description: its section in the stream, of type FULL, and what is in it.
package struct DescribedDevice: Equatable, Sendable {
  /// The idstr of the device's section.
  package var name: String
  /// Tells devices of one name apart.
  package var instanceID: UInt32
  /// What is in the section's body. Devices of the old style, which QEMU cannot describe, have one field `data` of type
  /// `buffer` here, and neither name nor version.
  package var state: DescribedState
  /// Bytes of the section's body, if the device is one of the old style.
  package var opaqueSize: ByteCount?

  /// A device of its parts.
  package init(
    name: String, instanceID: UInt32, state: DescribedState, opaqueSize: ByteCount? = nil
  ) {
    self.name = name
    self.instanceID = instanceID
    self.state = state
    self.opaqueSize = opaqueSize
  }
}
