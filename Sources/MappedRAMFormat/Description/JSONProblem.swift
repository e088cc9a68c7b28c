/// Why the text of a device description is not JSON.
public enum JSONProblem: Equatable, Sendable {
  /// The text ends in the middle of a value.
  case endOfText
  /// A byte that cannot stand here.
  case unexpectedByte(UInt8)
  /// Values nested deeper than `ImageLimits.descriptionDepth`.
  case tooDeep
  /// A number out of range.
  case numberOutOfRange
  /// A string that is not UTF-8 or has a bad escape.
  case badString
  /// Something after the value.
  case trailingBytes
}
