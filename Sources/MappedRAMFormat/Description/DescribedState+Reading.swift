extension DescribedState {
  init(description value: JSONValue) throws(DescriptionShapeError) {
    try self.init(description: DescriptionObject(value))
  }

  /// Reads the members of a state from `object`, which may have others besides.
  init(description object: DescriptionObject) throws(DescriptionShapeError) {
    name = try object.required("vmsd_name", DescriptionObject.streamName)
    version = try object.required("version", DescriptionObject.version)
    fields = try object.required(
      "fields", DescriptionObject.list(DescribedField.init(description:)))
    subsections =
      try object.optional(
        "subsections", DescriptionObject.list(DescribedState.init(description:))) ?? []
  }
}

extension DescribedField {
  init(description value: JSONValue) throws(DescriptionShapeError) {
    let object = try DescriptionObject(value)
    name = try object.required("name", DescriptionObject.string)
    type = try object.required("type", DescriptionObject.string)
    size = ByteCount(try object.required("size", DescriptionObject.unsigned))
    let count = try object.optional("array_len", DescriptionObject.unsigned)
    let index = try object.optional("index", DescriptionObject.unsigned)
    switch (count, index) {
    case (nil, nil): extent = .single
    case (let count?, nil): extent = .array(count: count)
    case (nil, let index?): extent = .element(index: index)
    case (_?, _?):
      throw DescriptionShapeError("alone, without array_len").within("index")
    }
    state = try Self.state(ofType: type, in: object)
  }

  /// Reads what is said of the inside of a field of `type`.
  ///
  /// Types other than these code a state in ways of their own, some (`qtailq`) describe several in one object: their
  /// bytes are taken as they are. Before QEMU 10.0 a null pointer among structures had an empty object.
  private static func state(
    ofType type: String, in object: DescriptionObject
  ) throws(DescriptionShapeError) -> DescribedState? {
    switch type {
    case "struct":
      try object.optional("struct") { (value) throws(DescriptionShapeError) in
        value == .object([]) ? nil : try DescribedState(description: value)
      } ?? nil
    case "tmp", "vstruct":
      object.has("vmsd_name") ? try DescribedState(description: object) : nil
    default:
      nil
    }
  }
}

extension DescribedDevice {
  init(description value: JSONValue) throws(DescriptionShapeError) {
    let object = try DescriptionObject(value)
    name = try object.required("name", DescriptionObject.streamName)
    instanceID = try object.required("instance_id", DescriptionObject.instanceID)
    opaqueSize = try object.optional("size", DescriptionObject.unsigned).map { ByteCount($0) }
    if opaqueSize == nil {
      state = try DescribedState(description: object)
    } else {
      let fields = try object.required(
        "fields", DescriptionObject.list(DescribedField.init(description:)))
      state = DescribedState(name: "", version: 0, fields: fields)
    }
  }
}
