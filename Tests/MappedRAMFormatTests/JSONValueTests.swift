import MappedRAMFormat
import Testing

@Suite struct JSONValueTests {
  private func value(_ text: String) throws -> JSONValue { try JSONValue(parsing: ascii(text)) }

  @Test(
    arguments: [
      ("null", .null), ("true", .bool(true)), ("false", .bool(false)), ("0", .integer(0)),
      ("-0", .integer(0)), ("4096", .integer(4096)), ("-7", .integer(-7)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
      ("1.5", .number(1.5)), ("-0.25", .number(-0.25)), ("1e3", .number(1000)),
      ("1E+3", .number(1000)), ("25e-1", .number(2.5)), ("0e0", .number(0)),
      ("\"\"", .string("")), ("\"pc.ram\"", .string("pc.ram")), ("[]", .array([])),
      ("{}", .object([])), (" \t\r\n1 \t\r\n", .integer(1)),
    ] as [(String, JSONValue)])
  func readsOneValue(_ text: String, _ expected: JSONValue) throws {
    #expect(try value(text) == expected)
  }

  @Test(arguments: [
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
    (#""\ud83d\ude00""#, "😀"), (#""\uD800\uDC00\udbff\udfff""#, "\u{10000}\u{10FFFF}"),
    (#""a\u0000b""#, "a\0b"), ("\"é€😀\"", "é€😀"), (#""x\ty\tz""#, "x\ty\tz"),
    ("\"\u{7F}\"", "\u{7F}"), (#""\ud7ff\ue000""#, "\u{D7FF}\u{E000}"),
  ])
  func readsStrings(_ text: String, _ expected: String) throws {
    #expect(try value(text) == .string(expected))
  }

  @Test func arraysAndObjectsKeepTheirOrder() throws {
    #expect(
      try value(#" { "b" : [ 1 , [ ] , { } ] , "a" : "x" , "b" : null } "#)
        == .object([
          .init(name: "b", value: .array([.integer(1), .array([]), .object([])])),
          .init(name: "a", value: .string("x")), .init(name: "b", value: .null),
        ]))
  }

  @Test func firstMemberOfANameIsFound() throws {
    let object = try value(#"{"a":1,"b":2,"a":3}"#)
    #expect(object["a"] == .integer(1))
    #expect(object["b"] == .integer(2))
    #expect(object["c"] == nil)
    #expect(try value("[1]")["a"] == nil)
  }

  @Test func unsignedIntegersAreThoseFromZeroOn() throws {
    #expect(try value("0").unsignedInteger == 0)
    #expect(try value("18446744073709551615").unsignedInteger == .max)
    #expect(try value("-1").unsignedInteger == nil)
    #expect(try value("1.0").unsignedInteger == nil)
    #expect(try value("\"1\"").unsignedInteger == nil)
  }

  @Test func readsFromASpan() throws {
    let bytes = ascii("x[1]x")
    #expect(try JSONValue(parsing: bytes.span.extracting(1..<4)) == .array([.integer(1)]))
  }
}
