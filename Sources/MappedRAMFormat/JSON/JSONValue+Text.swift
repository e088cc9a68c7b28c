extension JSONValue {
  /// The value as JSON text (RFC 8259) on one line, in ASCII, with a space behind each comma and colon: as QEMU writes it.
  ///
  /// Reading it back with `init(parsing:)` gives an equal value. Members stay in order.
  ///
  /// Precondition: no number in it is infinite or not a number, which JSON does not have.
  ///
  /// - Complexity: O(bytes); calls nest as deep as the values.
  public var text: String {
    var output: [UInt8] = []
    append(to: &output)
    return String(decoding: output, as: UTF8.self)
  }

  /// Appends the value's text to `output`, as `text` gives it, or without the spaces.
  public func append(to output: inout [UInt8], isSpaced: Bool = true) {
    func append(_ separator: Unicode.Scalar) {
      output.append(UInt8(ascii: separator))
      if isSpaced { output.append(UInt8(ascii: " ")) }
    }
    switch self {
    case .object(let members):
      output.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { append(",") }
        Self.append(quoted: member.name, to: &output)
        append(":")
        member.value.append(to: &output, isSpaced: isSpaced)
      }
      output.append(UInt8(ascii: "}"))
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { append(",") }
        element.append(to: &output, isSpaced: isSpaced)
      }
      output.append(UInt8(ascii: "]"))
    case .string(let string): Self.append(quoted: string, to: &output)
    case .integer(let value): output.append(contentsOf: String(value).utf8)
    case .unsigned(let value): output.append(contentsOf: String(value).utf8)
    case .number(let value):
      precondition(value.isFinite, "JSON has finite numbers alone")
      output.append(contentsOf: value.description.utf8)
    case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
    case .null: output.append(contentsOf: "null".utf8)
    }
  }

  private static func append(quoted string: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for unit in string.utf16 {
      switch unit {
      case 0x22, 0x5C: output += [UInt8(ascii: "\\"), UInt8(unit)]
      case 0x20...0x7E: output.append(UInt8(unit))
      default:
        let digits = String(unit, radix: 16)
        output.append(
          contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// A string.
  public init(stringLiteral value: String) { self = .string(value) }

  /// `true` or `false`.
  public init(booleanLiteral value: Bool) { self = .bool(value) }

  /// An integer.
  public init(integerLiteral value: Int64) { self = .integer(value) }

  /// An array.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

  /// An object, with its members in the order of the literal.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member(name: $0.0, value: $0.1) })
  }

  /// A number that is not negative, in the case that `init(parsing:)` gives it.
  public static func count(_ value: UInt64) -> JSONValue {
    Int64(exactly: value).map(JSONValue.integer) ?? .unsigned(value)
  }
}
