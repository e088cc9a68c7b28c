import FoundationEssentials

/// JSON for programs: sorted keys, raw numbers.
enum JSONText {
  /// `value` over several lines, with a newline at the end.
  static func document(_ value: some Encodable) -> String {
    encode(value, [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]) + "\n"
  }

  /// `value` on one line, with a newline at the end.
  static func line(_ value: some Encodable) -> String {
    encode(value, [.sortedKeys, .withoutEscapingSlashes]) + "\n"
  }

  /// The same JSON, with JSON's own escapes for the control characters that it may have in strings.
  private static func escaped(_ text: String) -> String {
    guard TerminalText.mayHaveControls(text) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if scalar != "\n", TerminalText.isControl(scalar) {
        let digits = String(scalar.value, radix: 16)
        let zeros = String(repeating: "0", count: 4 - digits.count)
        result.append(contentsOf: "\\u\(zeros)\(digits)".unicodeScalars)
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }

  private static func encode(
    _ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting
  ) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    do {
      return escaped(String(decoding: try encoder.encode(value), as: UTF8.self))
    } catch {
      preconditionFailure("finite numbers and strings can be encoded: \(error)")
    }
  }
}
