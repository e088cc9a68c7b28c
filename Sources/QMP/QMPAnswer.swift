public import MappedRAMFormat

/// A value in an answer of QEMU, and where in the answer it stands.
///
/// What it is taken for is checked: an answer of another form is `QMPError.unexpectedAnswer`.
public struct QMPAnswer: Sendable {
  /// The value.
  public let value: JSONValue
  let command: String
  /// Where it stands: `return`, `return.ram.total`, `return[3].device`.
  let place: String

  /// The whole answer to `command`.
  public init(_ value: JSONValue, to command: String) {
    self.init(value, command, "return")
  }

  private init(_ value: JSONValue, _ command: String, _ place: String) {
    self.value = value
    self.command = command
    self.place = place
  }

  /// The member `name`.
  public func member(_ name: String) throws(QMPError) -> QMPAnswer {
    guard let found = optional(name) else {
      throw QMPError.unexpectedAnswer(
        command: command, place: "\(place).\(name)", expected: "there")
    }
    return found
  }

  /// The member `name`, if it is there and not null.
  public func optional(_ name: String) -> QMPAnswer? {
    guard let found = value[name], found != .null else { return nil }
    return QMPAnswer(found, command, "\(place).\(name)")
  }

  /// The elements of an array.
  public func elements() throws(QMPError) -> [QMPAnswer] {
    guard case .array(let elements) = value else { throw unexpected("an array") }
    return elements.enumerated().map { QMPAnswer($0.element, command, "\(place)[\($0.offset)]") }
  }

  /// What `read` makes of each element of an array.
  public func map<Value>(
    _ read: (QMPAnswer) throws(QMPError) -> Value
  ) throws(QMPError) -> [Value] {
    try elements().map(read)
  }

  /// The string.
  public func string() throws(QMPError) -> String {
    guard let string = value.string else { throw unexpected("a string") }
    return string
  }

  /// The number, which is whole and not negative.
  public func unsigned() throws(QMPError) -> UInt64 {
    guard let number = value.unsignedInteger else { throw unexpected("a number from 0 on") }
    return number
  }

  /// The number as an `Int`.
  public func integer() throws(QMPError) -> Int {
    guard case .integer(let number) = value, let small = Int(exactly: number) else {
      throw unexpected("a whole number")
    }
    return small
  }

  /// The truth value.
  public func bool() throws(QMPError) -> Bool {
    guard let bool = value.bool else { throw unexpected("true or false") }
    return bool
  }

  /// The error that this value is not `expected`.
  public func unexpected(_ expected: String) -> QMPError {
    .unexpectedAnswer(command: command, place: place, expected: expected)
  }
}
