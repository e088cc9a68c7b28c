import MappedRAMFormat

extension InspectJSON {
  /// A device: a section of type FULL.
  struct Device: Encodable {
    var idstr: String
    var instanceID: UInt32
    var version: UInt32
    /// The first byte of the state, behind the section's head.
    var offset: UInt64
    /// Bytes of the state.
    var length: UInt64
    /// The state, perhaps up to a problem; `null` where it was not decoded.
    @OrNull var state: State?
    /// Why it was not decoded, or not to its end.
    @OrNull var problem: String?

    init(_ device: DeviceFacts) {
      idstr = device.identity.idstr
      instanceID = device.identity.instanceID
      version = device.identity.version
      offset = device.body.lowerBound.rawValue
      length = device.body.byteCount.rawValue
      switch device.outcome {
      case .notDescribed:
        state = nil
        problem = "The device is not described."
      case .tooLong:
        state = nil
        problem = "The state is too long to be decoded."
      case .decoded(let decoded):
        state = State(decoded.state)
        problem = decoded.problem?.description
      }
    }
  }

  /// A state, or a subsection of one.
  struct State: Encodable {
    /// QEMU's name for the form of the state.
    var name: String
    var version: Int32
    var offset: UInt64
    var length: UInt64
    var fields: [Field]
    var subsections: [State]

    init(_ state: DecodedState) {
      name = state.name
      version = state.version
      offset = state.range.lowerBound.rawValue
      length = state.range.byteCount.rawValue
      fields = state.fields.map { Field($0) }
      subsections = state.subsections.map { State($0) }
    }
  }

  /// A field of a state.
  struct Field: Encodable {
    var name: String
    /// Which element this is, of an array whose elements are listed one by one.
    @OrNull var index: UInt64?
    /// QEMU's name for the way the field is coded.
    var type: String
    var value: Value
    /// The text in `value`, where it is bytes that are text.
    @OrNull var text: String?
    var offset: UInt64
    var length: UInt64

    init(_ field: DecodedField) {
      name = field.name
      index = field.index
      type = field.type
      value = Value(value: field.value)
      text = field.value.text
      offset = field.range.lowerBound.rawValue
      length = field.range.byteCount.rawValue
    }
  }

  /// A number, `true` or `false`; bytes as hexadecimal digits, or `null` where they are more than `byteLimit`; a structure as
  /// an object like a state; an array; `null` for a null pointer.
  struct Value: Encodable {
    var value: DecodedValue

    /// The most bytes that are shown; others can be read at the field's offset.
    static let byteLimit = 4096

    func encode(to encoder: any Encoder) throws {
      switch value {
      case .structure(let state):
        try State(state).encode(to: encoder)
      case .array(let elements):
        var container = encoder.unkeyedContainer()
        for element in elements { try container.encode(Value(value: element)) }
      case .unsigned(let number):
        var container = encoder.singleValueContainer()
        try container.encode(number)
      case .signed(let number):
        var container = encoder.singleValueContainer()
        try container.encode(number)
      case .bool(let flag):
        var container = encoder.singleValueContainer()
        try container.encode(flag)
      case .bytes(let bytes):
        var container = encoder.singleValueContainer()
        if bytes.count > Self.byteLimit {
          try container.encodeNil()
        } else {
          try container.encode(HexText.packed(bytes))
        }
      case .absent:
        var container = encoder.singleValueContainer()
        try container.encodeNil()
      }
    }
  }
}
