package import MappedRAMFormat

/// The value of an option that is a list of properties: `key=value,key=value`, or a JSON object.
///
/// In a list a comma in a value is doubled, and the first entry may leave out its key (source: qemu-system(1)). QEMU looks at bytes: a
/// sign is one also where a combining character follows it.
package struct QEMUProperties: Equatable {
  /// In their order. Of entries with the same key, the last one counts.
  package var entries: [Entry]
  /// Whether it was a JSON object.
  package var isJSON: Bool

  package struct Entry: Equatable, Sendable {
    package var key: String
    package var value: Value
  }

  package enum Value: Equatable, Sendable {
    /// Text behind `=`, or a JSON string.
    case text(String)
    /// A key alone, in a list: `on`, for QEMU.
    case flag
    /// A JSON value that is no string.
    case json(JSONValue)

    init(_ value: JSONValue) {
      if case .string(let text) = value { self = .text(text) } else { self = .json(value) }
    }
  }

  /// Reads `text`, whose first entry is the value of `impliedKey` where it has no key.
  ///
  /// `nil` where the text begins like JSON and is none that we read: QEMU's own form with single quotes.
  package init?(_ text: String, impliedKey: String) {
    if text.utf8.first == UInt8(ascii: "{") {
      guard let members = Self.members(of: text) else { return nil }
      entries = members.map { member in
        Entry(key: member.name, value: Value(member.value))
      }
      isJSON = true
    } else {
      entries = Self.split(text).enumerated().map { index, part in
        if let (key, value) = Self.keyAndValue(part) { return Entry(key: key, value: .text(value)) }
        if index == 0 { return Entry(key: impliedKey, value: .text(part)) }
        return Entry(key: part, value: .flag)
      }
      isJSON = false
    }
  }

  /// Properties of `entries`, in one of the two ways of writing them.
  package init(_ entries: [Entry], isJSON: Bool) {
    self.entries = entries
    self.isJSON = isJSON
  }

  /// Properties of `entries`, as a list of keys and values.
  package init(_ entries: [(key: String, value: String)]) {
    self.entries = entries.map { Entry(key: $0.key, value: .text($0.value)) }
    isJSON = false
  }

  /// The text of the value of `key`, or of a JSON number or bool; `nil` where there is none.
  package subscript(key: String) -> String? {
    guard let entry = entries.last(where: { $0.key == key }) else { return nil }
    switch entry.value {
    case .text(let text): return text
    case .flag: return "on"
    case .json(.bool(let isOn)): return isOn ? "on" : "off"
    case .json(.integer(let number)): return String(number)
    case .json(.unsigned(let number)): return String(number)
    case .json: return nil
    }
  }

  /// The option's value for the command line.
  package var text: String {
    if isJSON { return JSONValue.object(members).text }
    return entries.map { entry in
      let key = Self.doublingCommas(entry.key)
      return switch entry.value {
      case .text(let text): "\(key)=\(Self.doublingCommas(text))"
      case .flag: key
      case .json(let value): "\(key)=\(Self.doublingCommas(value.text))"
      }
    }.joined(separator: ",")
  }

  /// The entries as members of a JSON object.
  var members: [JSONValue.Member] {
    entries.map { JSONValue.Member(name: $0.key, value: $0.value.json) }
  }

  private static func members(of text: String) -> [JSONValue.Member]? {
    do throws(JSONError) {
      guard case .object(let members) = try JSONValue(parsing: [UInt8](text.utf8)) else {
        return nil
      }
      return members
    } catch {
      // Not wrong for QEMU, perhaps: QEMU will say so if it is.
      return nil
    }
  }

  /// The parts between single commas; a doubled comma is one comma of its part.
  private static func split(_ text: String) -> [String] {
    var parts: [[UInt8]] = [[]]
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: ",") {
        parts[parts.count - 1].append(byte)
      } else if rest.first == UInt8(ascii: ",") {
        rest.removeFirst()
        parts[parts.count - 1].append(byte)
      } else {
        parts.append([])
      }
    }
    // QEMU allows a comma at the end.
    if parts.count > 1, parts[parts.count - 1].isEmpty { parts.removeLast() }
    return parts.map { String(decoding: $0, as: UTF8.self) }
  }

  private static func keyAndValue(_ part: String) -> (String, String)? {
    guard let equals = part.utf8.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    // A comma before the equals sign is part of a first value without a key.
    guard !part.utf8[..<equals].contains(UInt8(ascii: ",")) else { return nil }
    return (String(part[..<equals]), String(part[part.utf8.index(after: equals)...]))
  }

  private static func doublingCommas(_ text: String) -> String {
    let comma = UInt8(ascii: ",")
    let bytes = text.utf8.flatMap { $0 == comma ? [comma, comma] : [$0] }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension QEMUProperties.Value {
  fileprivate var json: JSONValue {
    switch self {
    case .text(let text): .string(text)
    case .flag: .bool(true)
    case .json(let value): value
    }
  }
}
