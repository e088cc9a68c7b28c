import MappedRAMFormat
import Testing

/// A function that reads a value from a cursor.
typealias Parser<Value> = (inout ByteInput) throws(FormatError) -> Value

/// Reads a value from the start of `bytes`.
func parse<Value>(
  _ bytes: [UInt8], at base: FileOffset = .zero, _ parser: Parser<Value>
) throws(FormatError) -> Value {
  var input = ByteInput(bytes.span, at: base)
  return try parser(&input)
}

/// The bytes that `encode` writes.
func encoded(_ encode: (inout ByteOutput) -> Void) -> [UInt8] {
  var output = ByteOutput()
  encode(&output)
  return output.bytes
}

/// The error with which reading `bytes` fails.
func failure<Value>(
  _ bytes: [UInt8], at base: FileOffset = .zero, _ parser: Parser<Value>,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> FormatError {
  let value: Value
  do throws(FormatError) {
    value = try parse(bytes, at: base, parser)
  } catch {
    return error
  }
  return try #require(nil as FormatError?, "read \(value)", sourceLocation: sourceLocation)
}

/// Checks that every proper prefix of `bytes` is refused as cut off, at a place within it, whatever is expected of the file.
func expectTruncation<Value>(
  of bytes: [UInt8], from first: Int = 0, _ parser: Parser<Value>,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  for count in first..<bytes.count {
    let base: FileOffset = 0x1000
    let error = try failure(
      Array(bytes.prefix(count)), at: base, parser, sourceLocation: sourceLocation)
    guard case .truncated(let needed, let available) = error.kind else {
      Issue.record("\(count) bytes: \(error)", sourceLocation: sourceLocation)
      continue
    }
    #expect(needed > available, "\(count) bytes", sourceLocation: sourceLocation)
    #expect(
      error.offset + available == base + ByteCount(count), "\(count) bytes",
      sourceLocation: sourceLocation)
  }
}

/// Checks that reading `bytes` takes them all, and that what is read encodes to the same bytes.
func expectRoundTrip<Value>(
  _ bytes: [UInt8], _ parser: Parser<Value>, _ encode: (Value, inout ByteOutput) -> Void,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let value = try parse(bytes + [0xA5]) { (input) throws(FormatError) in
    let value = try parser(&input)
    #expect(input.remaining == 1, sourceLocation: sourceLocation)
    return value
  }
  #expect(encoded { encode(value, &$0) } == bytes, sourceLocation: sourceLocation)
}

/// The bytes of an integer, most significant first.
func be(_ value: some FixedWidthInteger) -> [UInt8] { encoded { $0.writeBigEndian(value) } }

/// The bytes of a string's text.
func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A name with its length before it.
func counted(_ name: String) -> [UInt8] { [UInt8(name.utf8.count)] + ascii(name) }
