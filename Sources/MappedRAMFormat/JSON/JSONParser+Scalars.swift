extension JSONParser {
  /// The longest number with a fraction or an exponent, in bytes: what QEMU could print of a `double` has 24.
  static let numberBytes = 1024

  /// Reads a number, whose first byte is at the cursor.
  mutating func parseNumber() throws(JSONError) -> JSONValue {
    let start = position
    let isNegative = text[position] == UInt8(ascii: "-")
    if isNegative { position += 1 }
    var magnitude: UInt64? = 0
    if try nextByte() == UInt8(ascii: "0") {
      position += 1
    } else {
      magnitude = try parseDigits()
    }
    if position < text.count,
      text[position] == UInt8(ascii: ".") || text[position] | 0x20 == UInt8(ascii: "e")
    {
      return .number(try parseFraction(from: start))
    }
    guard let magnitude else { throw JSONError(.numberOutOfRange, at: start) }
    if !isNegative {
      return Int64(exactly: magnitude).map(JSONValue.integer) ?? .unsigned(magnitude)
    }
    guard magnitude <= Int64.min.magnitude else { throw JSONError(.numberOutOfRange, at: start) }
    return .integer(Int64(truncatingIfNeeded: 0 &- magnitude))
  }

  /// Passes at least one digit. The number that they make, or `nil` where it leaves 64 bits.
  private mutating func parseDigits() throws(JSONError) -> UInt64? {
    let first = try nextByte()
    guard Self.isDigit(first) else { throw fail(.unexpectedByte(first)) }
    var value: UInt64? = 0
    while position < text.count, Self.isDigit(text[position]) {
      let digit = UInt64(text[position] - UInt8(ascii: "0"))
      value = value.flatMap { value in
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(digit)
        return overflow || carry ? nil : sum
      }
      position += 1
    }
    return value
  }

  /// Reads the rest of a number that began at `start` and has a fraction or an exponent.
  private mutating func parseFraction(from start: Int) throws(JSONError) -> Double {
    if text[position] == UInt8(ascii: ".") {
      position += 1
      _ = try parseDigits()
    }
    if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      let sign = try nextByte()
      if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
      _ = try parseDigits()
    }
    guard position - start <= Self.numberBytes,
      let value = Double(try substring(start..<position)), value.isFinite
    else { throw JSONError(.numberOutOfRange, at: start) }
    return value
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  /// Reads a string, whose opening quote is at the cursor.
  mutating func parseString() throws(JSONError) -> String {
    position += 1
    var start = position
    // What stands before the last escape; most strings have none.
    var head: [UInt8] = []
    while true {
      switch try nextByte() {
      case UInt8(ascii: "\""):
        let tail = try substring(start..<position)
        position += 1
        return head.isEmpty ? tail : String(decoding: head, as: UTF8.self) + tail
      case UInt8(ascii: "\\"):
        if start < position { head.append(contentsOf: try substring(start..<position).utf8) }
        head.append(contentsOf: UTF8.encode(try parseEscape()) ?? UTF8.encodedReplacementCharacter)
        start = position
      case 0..<0x20:
        throw fail(.badString)
      default:
        position += 1
      }
    }
  }

  /// Reads an escape, whose backslash is at the cursor.
  private mutating func parseEscape() throws(JSONError) -> Unicode.Scalar {
    let start = position
    position += 1
    let letter = try nextByte()
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw JSONError(.badString, at: start)
    }
    let unit = try parseCodeUnit()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    // Half of a pair: the other half must follow.
    guard unit < 0xDC00, try nextByte() == UInt8(ascii: "\\") else {
      throw JSONError(.badString, at: start)
    }
    position += 1
    guard try nextByte() == UInt8(ascii: "u") else { throw JSONError(.badString, at: start) }
    position += 1
    let low = try parseCodeUnit()
    guard (0xDC00...0xDFFF).contains(low),
      let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
    else { throw JSONError(.badString, at: start) }
    return scalar
  }

  /// Reads four hexadecimal digits.
  private mutating func parseCodeUnit() throws(JSONError) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt32
      switch try nextByte() {
      case let byte where Self.isDigit(byte): digit = UInt32(byte - UInt8(ascii: "0"))
      case let byte where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20):
        digit = UInt32(byte | 0x20) - 87
      default: throw fail(.badString)
      }
      unit = unit << 4 | digit
      position += 1
    }
    return unit
  }

  /// The text at `range`.
  ///
  /// - Throws: `badString` at the first byte that is not UTF-8.
  private func substring(_ range: Range<Int>) throws(JSONError) -> String {
    do throws(UTF8.ValidationError) {
      return String(copying: try UTF8Span(validating: text.extracting(range)))
    } catch {
      throw JSONError(.badString, at: range.lowerBound + error.byteOffsets.lowerBound)
    }
  }
}
