package import MappedRAMFormat

extension JSONValue {
  /// The string, if this is one.
  package var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The truth value, if this is one.
  package var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The elements, if this is an array.
  package var elements: [JSONValue]? {
    if case .array(let value) = self { value } else { nil }
  }
}
