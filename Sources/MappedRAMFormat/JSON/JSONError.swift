/// Why a text is not JSON, and where.
public struct JSONError: Error, Equatable, Sendable {
  /// What is wrong.
  public var problem: JSONProblem
  /// The first byte that is wrong, counted from the text's first.
  public var position: Int

  /// An error of its parts.
  package init(_ problem: JSONProblem, at position: Int) {
    self.problem = problem
    self.position = position
  }
}

/// Why a text is not JSON, or not read.
public enum JSONProblem: Equatable, Sendable {
  /// The text ends in the middle of a value.
  case endOfText
  /// A byte that cannot stand here.
  case unexpectedByte(UInt8)
  /// Values nested deeper than `ImageLimits.descriptionDepth`.
  case tooDeep
  /// More values than `ImageLimits.descriptionValues`.
  case tooMany
  /// A number out of range.
  case numberOutOfRange
  /// A string that is not UTF-8 or has a bad escape.
  case badString
  /// Something after the value.
  case trailingBytes
}

extension JSONProblem: CustomStringConvertible {
  /// The problem as a clause.
  public var description: String {
    switch self {
    case .endOfText: "it ends in the middle of a value"
    case .unexpectedByte(let byte): "unexpected byte \(hex([byte]))"
    case .tooDeep: "values are nested deeper than \(ImageLimits.descriptionDepth)"
    case .tooMany: "there are more than \(ImageLimits.descriptionValues) values"
    case .numberOutOfRange: "a number is out of range"
    case .badString: "a string has bytes or escapes that are not allowed"
    case .trailingBytes: "something follows the value"
    }
  }
}
