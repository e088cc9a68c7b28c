extension JSONValue {
  /// The value as text, written as QEMU does: on one line, with a space behind each comma and colon, all in ASCII.
  ///
  /// - Complexity: O(bytes).
  public var text: [UInt8] {
    var output: [UInt8] = []
    write(to: &output)
    return output
  }

  private func write(to output: inout [UInt8]) {
    switch self {
    case .object(let members):
      Self.write(members, "{", "}", to: &output) { member, output in
        Self.write(member.name, to: &output)
        output += Array(": ".utf8)
        member.value.write(to: &output)
      }
    case .array(let values):
      Self.write(values, "[", "]", to: &output) { value, output in value.write(to: &output) }
    case .string(let string): Self.write(string, to: &output)
    case .integer(let number): output += Array(String(number).utf8)
    case .unsigned(let number): output += Array(String(number).utf8)
    case .number(let number): output += Array(String(number).utf8)
    case .bool(let flag): output += Array(String(flag).utf8)
    case .null: output += Array("null".utf8)
    }
  }

  private static func write<Element>(
    _ elements: [Element], _ start: String, _ end: String, to output: inout [UInt8],
    _ body: (Element, inout [UInt8]) -> Void
  ) {
    output += Array(start.utf8)
    for (index, element) in elements.enumerated() {
      if index > 0 { output += Array(", ".utf8) }
      body(element, &output)
    }
    output += Array(end.utf8)
  }

  /// Appends a string: printable ASCII as it is, all else as \uXXXX.
  private static func write(_ string: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for unit in string.utf16 {
      switch unit {
      case 0x22, 0x5C: output += [UInt8(ascii: "\\"), UInt8(unit)]
      case 0x20...0x7E: output.append(UInt8(unit))
      default:
        let digits = String(unit, radix: 16)
        output += Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}
