import MappedRAMFormat
import TestSupport
import Testing

@Suite("Text that is not JSON") struct JSONParserFailureTests {
  private func error(_ text: [UInt8]) throws -> JSONError {
    try #require(#expect(throws: JSONError.self) { try JSONValue(parsing: text) })
  }

  private func expect(
    _ text: [UInt8], _ problem: JSONProblem, at index: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try error(text) == JSONError(problem, at: index), sourceLocation: sourceLocation)
  }

  @Test(
    arguments: [
      ("tru", .endOfText, 3), ("nulL", .unexpectedByte(0x4C), 3), ("x", .unexpectedByte(0x78), 0),
      ("+1", .unexpectedByte(0x2B), 0), ("-", .endOfText, 1), ("-a", .unexpectedByte(0x61), 1),
      (".5", .unexpectedByte(0x2E), 0), ("1.", .endOfText, 2), ("1.x", .unexpectedByte(0x78), 2),
      ("1e", .endOfText, 2), ("1e+", .endOfText, 3), ("1ex", .unexpectedByte(0x78), 2),
      ("01", .trailingBytes, 1), ("1 2", .trailingBytes, 2), ("[]]", .trailingBytes, 2),
      ("[1,]", .unexpectedByte(0x5D), 3), ("[,1]", .unexpectedByte(0x2C), 1),
      ("[1 2]", .unexpectedByte(0x32), 3), ("[1}", .unexpectedByte(0x7D), 2),
      ("{\"a\"}", .unexpectedByte(0x7D), 4), ("{\"a\":}", .unexpectedByte(0x7D), 5),
      ("{\"a\":1,}", .unexpectedByte(0x7D), 7), ("{a:1}", .unexpectedByte(0x61), 1),
      ("{\"a\":1]", .unexpectedByte(0x5D), 6), ("{1:1}", .unexpectedByte(0x31), 1),
      ("\u{FEFF}1", .unexpectedByte(0xEF), 0), ("[1\0]", .unexpectedByte(0), 2),
      ("'a'", .unexpectedByte(0x27), 0), ("NaN", .unexpectedByte(0x4E), 0),
    ] as [(String, JSONProblem, Int)])
  func isRefusedAtTheFirstWrongByte(_ text: String, _ problem: JSONProblem, _ index: Int) throws {
    try expect(ascii(text), problem, at: index)
  }

  @Test(arguments: [
    (#""\x""#, 1), (#""ab\u12G4""#, 7), ("\"a\nb\"", 2), ("\"\0\"", 1), ("\"\u{1F}\"", 1),
    (#""\ud800""#, 1), (#""\ud800x""#, 1), (#""\ud800\n""#, 1), (#""a\ud800\ud800""#, 2),
    (#""\udc00""#, 1), (#""\udfff\ud800""#, 1), (#""\ud83d\ue000""#, 1),
  ])
  func badEscapesAreRefusedWhereTheyBegin(_ text: String, _ index: Int) throws {
    try expect(ascii(text), .badString, at: index)
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3, 0x41],
    ] as [[UInt8]])
  func bytesThatAreNotUTF8AreRefusedAtTheirPlace(_ bytes: [UInt8]) throws {
    try expect([0x22, 0x61] + bytes + [0x22], .badString, at: 2)
    try expect(ascii(#"{"é\n"#) + bytes + ascii("\":1}"), .badString, at: 6)
  }

  @Test(arguments: [
    "18446744073709551616", "-9223372036854775809", "99999999999999999999999999", "1e999",
    "-1e999", "1." + String(repeating: "1", count: 1023), String(repeating: "9", count: 5000),
  ])
  func numbersOutOfRangeAreRefusedWhereTheyBegin(_ text: String) throws {
    try expect(ascii("[" + text + "]"), .numberOutOfRange, at: 1)
  }

  @Test func valuesNestAtMost128Deep() throws {
    for (open, close, leaf) in [("[", "]", ""), ("{\"a\":", "}", "1"), ("[[{\"a\":", "}]]", "1")] {
      let levels = open.filter { "[{".contains($0) }.count
      let most = 128 / levels
      let good = String(repeating: open, count: most) + leaf + String(repeating: close, count: most)
      _ = try JSONValue(parsing: ascii(good))
      let deep = String(repeating: open, count: 200)
      let error = try error(ascii(deep))
      #expect(error.problem == .tooDeep)
    }
    try expect(ascii(String(repeating: "[", count: 200)), .tooDeep, at: 128)
  }

  @Test func everyPrefixEndsInTheMiddle() throws {
    let text = ascii(#"{"a": [1, -2.5e1, "xé\u00e9\ud83d\ude00"], "b": {"c": true, "d": null}}"#)
    _ = try JSONValue(parsing: text)
    for count in 0..<text.count {
      let error = try error(Array(text.prefix(count)))
      #expect(error == JSONError(.endOfText, at: count))
    }
  }

  /// Bytes changed at random are read or refused; in no case is the offset outside of the text.
  @Test func damagedTextNeverLeavesItsBounds() throws {
    var random = SeededGenerator()
    let text = ascii(#"{"name": "cpu", "v": [1, 2.5, -3e2], "t": "\ud83d\ude00é", "n": null}"#)
    for _ in 0..<3000 {
      var damaged = text
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        damaged[Int.random(in: damaged.indices, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      do throws(JSONError) {
        _ = try JSONValue(parsing: damaged)
      } catch {
        #expect((0...text.count).contains(error.position))
      }
    }
  }

  @Test func valuesAreAtMostAMillion() throws {
    let limit = ImageLimits.descriptionValues
    // The array is a value too.
    var text = ascii("[" + String(repeating: "0,", count: limit - 2) + "0]")
    _ = try JSONValue(parsing: text)
    text.replaceSubrange((text.count - 1)..., with: ascii(",0]"))
    #expect(try error(text) == JSONError(.tooMany, at: text.count - 2))
    // In a description, it is a limit of the format.
    let place = FileOffset(UInt64(0x1000 + text.count - 2))
    #expect(
      throws: FormatError(
        .overLimit(.descriptionValues, found: UInt64(limit + 1), limit: UInt64(limit)),
        at: place, in: .description)
    ) { try DeviceDescription(text: text, at: 0x1000) }
  }
}
