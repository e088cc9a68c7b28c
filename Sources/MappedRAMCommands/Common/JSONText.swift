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

  private static func encode(
    _ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting
  ) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    do {
      return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
      preconditionFailure("finite numbers and strings can be encoded: \(error)")
    }
  }
}
