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
    (state, list) = try Self.inside(ofType: type, object)
  }

  /// Reads what is said of the inside of a field of `type`.
  ///
  /// `tmp` and `vstruct` have the members of the state beside the field's own; so have lists, where they are repeated
  /// for each element (observed: QEMU 10.0.2, s390x, `pending_crws`). Before QEMU 10.0 a null pointer among structures was a
  /// `struct` with an empty object. Other types have a coding of their own: their bytes are taken as they are.
  private static func inside(
    ofType type: String, _ object: DescriptionObject
  ) throws(DescriptionShapeError) -> (state: DescribedState?, list: [DescribedState]?) {
    switch type {
    case "struct":
      let state = try object.optional("struct") {
        (value) throws(DescriptionShapeError) -> DescribedState? in
        value == .object([]) ? nil : try DescribedState(description: value)
      }
      return (state ?? nil, nil)
    case "tmp", "vstruct":
      return (object.has("vmsd_name") ? try DescribedState(description: object) : nil, nil)
    case "qtailq", "qlist":
      var list: [DescribedState] = []
      for element in object.split(before: "vmsd_name") {
        list.append(try DescribedState(description: element))
      }
      return (nil, list)
    default:
      return (nil, nil)
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
