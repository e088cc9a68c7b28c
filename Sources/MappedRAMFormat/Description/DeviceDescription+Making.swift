extension DeviceDescription {
  /// This description with another CONFIGURATION section in it: what is known of the devices stays.
  ///
  /// - Throws: as `init(text:at:)`.
  public func replacing(
    _ configuration: Configuration
  ) throws(FormatError) -> DeviceDescription {
    guard case .object(var members) = try Self.value(of: text) else { return self }
    let member = JSONValue.Member(
      name: "configuration", value: Self.described(configuration))
    if let index = members.firstIndex(where: { $0.name == member.name }) {
      members[index] = member
    } else {
      members.insert(member, at: 0)
    }
    return try DeviceDescription(text: Array(JSONValue.object(members).text.utf8))
  }

  /// A description of sections of which only the length is known, in the form that QEMU itself uses for devices that it cannot
  /// describe: one field `data` of type `buffer`.
  ///
  /// Its readers find all sections and their ends, and nothing within. (Source: QEMU v10.0.2, `migration/savevm.c`,
  /// `vmstate_save_old_style`; observed on an image of an s390x guest.)
  ///
  /// - Parameter devices: the FULL sections in file order, each with the bytes of its body.
  /// - Throws: `overLimit`, for some 100,000 devices.
  package init(
    opaque devices: [(identity: SectionIdentity, bodyBytes: ByteCount)],
    configuration: Configuration, pageSize: PageSize
  ) throws(FormatError) {
    let described = devices.map { Self.described($0.identity, $0.bodyBytes) }
    let root = JSONValue.object([
      .init(name: "configuration", value: Self.described(configuration)),
      .init(name: "page_size", value: .unsigned(UInt64(pageSize.byteCount))),
      .init(name: "devices", value: .array(described)),
    ])
    try self.init(text: Array(root.text.utf8))
  }

  /// This description with the sections of `devices`, of which only the length is known, behind all others and in place of those of the
  /// same devices.
  ///
  /// - Throws: as `init(text:at:)`.
  public func replacing(
    devices: [(identity: SectionIdentity, bodyBytes: ByteCount)]
  ) throws(FormatError) -> DeviceDescription {
    guard case .object(var members) = try Self.value(of: text),
      let index = members.firstIndex(where: { $0.name == "devices" }),
      case .array(let values) = members[index].value
    else { return self }
    var kept = zip(values, self.devices).filter { _, device in
      !devices.contains {
        $0.identity.idstr == device.name && $0.identity.instanceID == device.instanceID
      }
    }.map(\.0)
    kept += devices.map { Self.described($0.identity, $0.bodyBytes) }
    members[index].value = .array(kept)
    return try DeviceDescription(text: Array(JSONValue.object(members).text.utf8))
  }

  /// This description with the statement that the slot of each absent page holds zeros or is a hole.
  ///
  /// - Throws: as `init(text:at:)`.
  public func statingThatAbsentSlotsAreZero() throws(FormatError) -> DeviceDescription {
    let members = try othersThanOwnMember() + [Self.ownMember]
    return try DeviceDescription(text: Array(JSONValue.object(members).text.utf8))
  }

  /// This description without that statement, and with spaces behind the text that make up for it: a stream is as long as before.
  ///
  /// - Throws: as `init(text:at:)`.
  public func withdrawingThatAbsentSlotsAreZero() throws(FormatError) -> DeviceDescription {
    var shorter = Array(JSONValue.object(try othersThanOwnMember()).text.utf8)
    shorter += Array(repeating: UInt8(ascii: " "), count: max(text.count - shorter.count, 0))
    return try DeviceDescription(text: shorter)
  }

  /// The statement, under a name of our own: readers skip keys that they do not know.
  static let ownMember = JSONValue.Member(
    name: "x-mapped-ram", value: .object([.init(name: "absent-slots", value: .string("zero"))]))

  private func othersThanOwnMember() throws(FormatError) -> [JSONValue.Member] {
    // The text of a description that exists is an object.
    guard case .object(let members) = try Self.value(of: text) else { return [] }
    return members.filter { $0.name != Self.ownMember.name }
  }

  /// What QEMU says of a section of which it knows only the length.
  private static func described(
    _ identity: SectionIdentity, _ bodyBytes: ByteCount
  ) -> JSONValue {
    let size = JSONValue.unsigned(bodyBytes.rawValue)
    return .object([
      .init(name: "name", value: .string(identity.idstr)),
      .init(name: "instance_id", value: .unsigned(UInt64(identity.instanceID))),
      .init(name: "size", value: size),
      .init(
        name: "fields",
        value: .array([
          .object([
            .init(name: "name", value: .string("data")), .init(name: "size", value: size),
            .init(name: "type", value: .string("buffer")),
          ])
        ])),
    ])
  }

  /// What QEMU says of a CONFIGURATION section (observed: QEMU 10.0.2).
  private static func described(_ configuration: Configuration) -> JSONValue {
    let name = field("name", "buffer", configuration.machineType.utf8.count)
    var members = state("configuration", [field("len", "uint32", 4), name])
    let subsections = configuration.subsections.map { subsection -> JSONValue in
      let fields: [JSONValue] =
        switch subsection {
        case .targetPageBits: [field("target_page_bits", "uint32", 4)]
        case .capabilities(let names):
          [field("caps_count", "uint32", 4)] + capabilities(names)
        case .uuid: [field("uuid.data", "uint8", 1, count: 16)]
        }
      return .object(state(subsection.name, fields))
    }
    if !subsections.isEmpty {
      members.append(.init(name: "subsections", value: .array(subsections)))
    }
    return .object(members)
  }

  /// The names of capabilities, each with its length before it. QEMU has one field for all, with the size of the first; sizes that
  /// differ are told one by one here, as its own form for elements that differ.
  private static func capabilities(_ names: [String]) -> [JSONValue] {
    names.enumerated().map { index, name in
      field(
        "capabilities", "capability", 1 + name.utf8.count,
        index: names.count > 1 ? index : nil)
    }
  }

  private static func state(_ name: String, _ fields: [JSONValue]) -> [JSONValue.Member] {
    [
      .init(name: "vmsd_name", value: .string(name)), .init(name: "version", value: .unsigned(1)),
      .init(name: "fields", value: .array(fields)),
    ]
  }

  private static func field(
    _ name: String, _ type: String, _ size: Int, count: Int? = nil, index: Int? = nil
  ) -> JSONValue {
    var members: [JSONValue.Member] = [.init(name: "name", value: .string(name))]
    if let index { members.append(.init(name: "index", value: .unsigned(UInt64(index)))) }
    if let count { members.append(.init(name: "array_len", value: .unsigned(UInt64(count)))) }
    members.append(.init(name: "type", value: .string(type)))
    members.append(.init(name: "size", value: .unsigned(UInt64(size))))
    return .object(members)
  }
}
