/// A cursor over JSON text.
///
/// Each byte is looked at a fixed number of times, nothing is allocated but the values, and calls nest as deep as the values.
struct JSONParser: ~Escapable {
  let text: Span<UInt8>
  var position = 0
  private var values = 0
  private var depth = 0

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    self.text = text
  }

  /// Reads the one value of the text.
  mutating func parse() throws(JSONError) -> JSONValue {
    skipSpace()
    let value = try parseValue()
    skipSpace()
    guard position == text.count else { throw fail(.trailingBytes) }
    return value
  }

  private mutating func parseValue() throws(JSONError) -> JSONValue {
    values += 1
    guard values <= ImageLimits.descriptionValues else {
      throw fail(.tooMany)
    }
    switch try nextByte() {
    case UInt8(ascii: "{"): return .object(try parseObject())
    case UInt8(ascii: "["): return .array(try parseArray())
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    case UInt8(ascii: "t"):
      try expect("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try expect("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try expect("null")
      return .null
    case let byte: throw fail(.unexpectedByte(byte))
    }
  }

  private mutating func parseObject() throws(JSONError) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    guard try enter(closing: UInt8(ascii: "}")) else { return members }
    repeat {
      guard try nextByte() == UInt8(ascii: "\"") else {
        throw fail(.unexpectedByte(text[position]))
      }
      let name = try parseString()
      skipSpace()
      try expect(":")
      skipSpace()
      members.append(JSONValue.Member(name: name, value: try parseValue()))
    } while try another(closing: UInt8(ascii: "}"))
    return members
  }

  private mutating func parseArray() throws(JSONError) -> [JSONValue] {
    var elements: [JSONValue] = []
    guard try enter(closing: UInt8(ascii: "]")) else { return elements }
    repeat {
      elements.append(try parseValue())
    } while try another(closing: UInt8(ascii: "]"))
    return elements
  }

  /// Passes the opening bracket, and the closing one if it follows at once. Whether there are elements.
  private mutating func enter(closing: UInt8) throws(JSONError) -> Bool {
    guard depth < ImageLimits.descriptionDepth else { throw fail(.tooDeep) }
    position += 1
    skipSpace()
    guard try nextByte() == closing else {
      depth += 1
      return true
    }
    position += 1
    return false
  }

  /// Passes the comma before another element, or the closing bracket. Whether another element follows.
  private mutating func another(closing: UInt8) throws(JSONError) -> Bool {
    skipSpace()
    let byte = try nextByte()
    guard byte == closing || byte == UInt8(ascii: ",") else { throw fail(.unexpectedByte(byte)) }
    position += 1
    if byte == closing {
      depth -= 1
      return false
    }
    skipSpace()
    return true
  }

  private mutating func expect(_ literal: StaticString) throws(JSONError) {
    for index in 0..<literal.utf8CodeUnitCount {
      // SAFETY: the index is below the literal's length; a literal's bytes live as long as the program.
      let expected = unsafe literal.utf8Start[index]
      let byte = try nextByte()
      guard byte == expected else { throw fail(.unexpectedByte(byte)) }
      position += 1
    }
  }

  private mutating func skipSpace() {
    while position < text.count {
      switch text[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  /// The byte at the cursor, which stays there.
  func nextByte() throws(JSONError) -> UInt8 {
    guard position < text.count else { throw fail(.endOfText) }
    return text[position]
  }

  /// An error at the cursor.
  func fail(_ problem: JSONProblem) -> JSONError { JSONError(problem, at: position) }
}
