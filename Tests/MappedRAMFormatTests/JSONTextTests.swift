import MappedRAMFormat
import TestSupport
import Testing

@Suite struct JSONTextTests {
  static let texts: [(JSONValue, String)] = [
    ([:], "{}"), ([], "[]"), (true, "true"), (false, "false"), (.null, "null"),
    (0, "0"), (-5, "-5"), (.integer(.min), "-9223372036854775808"),
    (.unsigned(.max), "18446744073709551615"), (.number(0.5), "0.5"), (.number(1e300), "1e+300"),
    (["b": 1, "a": [true, "x"], "b": 2], #"{"b": 1, "a": [true, "x"], "b": 2}"#),
    ("\"\\/\n\u{0}\u{1f}\u{7f}äπ🙂", #""\"\\/\u000a\u0000\u001f\u007f\u00e4\u03c0\ud83d\ude42""#),
  ]

  @Test(arguments: texts)
  func textIsAsExpectedAndReadsBack(value: JSONValue, text: String) throws {
    #expect(value.text == text)
    #expect(try JSONValue(parsing: Array(text.utf8)) == value)
  }

  @Test func withoutSpacesItReadsBackAsWell() throws {
    let value: JSONValue = ["b c": 1, "a": [true, ", :", []], "o": ["p": [:]]]
    var text: [UInt8] = []
    value.append(to: &text, isSpaced: false)
    #expect(String(decoding: text, as: UTF8.self) == #"{"b c":1,"a":[true,", :",[]],"o":{"p":{}}}"#)
    #expect(try JSONValue(parsing: text) == value)
  }

  @Test func countsAreAsTheParserGivesThem() throws {
    for number in [0, 1, UInt64(Int64.max), UInt64(Int64.max) + 1, .max] {
      let value = JSONValue.count(number)
      #expect(value.unsignedInteger == number)
      #expect(try JSONValue(parsing: Array(value.text.utf8)) == value)
    }
  }

  @Test func randomValuesReadBack() throws {
    var generator = SeededGenerator()
    for _ in 0..<300 {
      let value = random(depth: 0, &generator)
      let text = Array(value.text.utf8)
      #expect(!text.contains(0x0A))
      #expect(try JSONValue(parsing: text) == value)
    }
  }

  private func random(depth: Int, _ generator: inout SeededGenerator) -> JSONValue {
    switch Int.random(in: 0..<(depth < 4 ? 8 : 6), using: &generator) {
    case 0: return .null
    case 1: return .bool(.random(using: &generator))
    case 2: return .integer(.random(in: .min ... .max, using: &generator))
    case 3: return .count(.random(in: 0 ... .max, using: &generator))
    case 4: return .number(Double.random(in: -1e9...1e9, using: &generator))
    case 5: return .string(randomString(&generator))
    case 6:
      return .array(
        (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
          random(depth: depth + 1, &generator)
        })
    default:
      return .object(
        (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
          JSONValue.Member(
            name: randomString(&generator), value: random(depth: depth + 1, &generator))
        })
    }
  }

  private func randomString(_ generator: inout SeededGenerator) -> String {
    String(
      decoding: (0..<Int.random(in: 0..<12, using: &generator)).map { _ in
        UInt16.random(in: 0..<0x300, using: &generator)
      }, as: UTF16.self)
  }
}
