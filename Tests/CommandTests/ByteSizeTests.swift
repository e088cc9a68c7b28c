import TestSupport
import Testing

@testable import MappedRAMCommands

@Suite struct ByteSizeTests {
  static let forms: [(String, UInt64)] = [
    ("0", 0), ("4096", 4096), ("64K", 64 << 10), ("64k", 64 << 10), ("64KB", 64 << 10),
    ("1MiB", 1 << 20), ("16g", 16 << 30), ("2TiB", 2 << 40), ("3P", 3 << 50), ("5B", 5),
    ("0x1000", 4096), ("0XfF", 255), ("18446744073709551615", .max), ("0xFFFFFFFFFFFFFFFF", .max),
    ("18014398509481983K", .max - 1023),
  ]

  @Test(arguments: forms)
  func everyFormIsRead(text: String, value: UInt64) {
    #expect(ByteSize(argument: text)?.byteCount == value)
  }

  @Test(arguments: [
    "", "K", "-1", "+1", "1.5M", "1 M", "1MM", "1X", "0x", "0xg", "0x1K", "18446744073709551616",
    "18014398509481984K", "16384P", "٣",
  ])
  func allElseIsRefused(text: String) {
    #expect(ByteSize(argument: text) == nil)
  }

  @Test(arguments: [
    (UInt64(0), "0"), (1, "1"), (1023, "1023"), (1024, "1K"), (1025, "1025"), (1 << 20, "1M"),
    (3 << 19, "1536K"), (1 << 60, "1024P"),
  ])
  func theDescriptionIsTheShortestExactForm(value: UInt64, text: String) {
    #expect(ByteSize(value).description == text)
  }

  @Test func theDescriptionReadsAsTheSameNumber() {
    var generator = SeededGenerator()
    for _ in 0..<1000 {
      let value = generator.next() >> UInt64.random(in: 0...63, using: &generator)
      let size = ByteSize(value << UInt64.random(in: 0...20, using: &generator))
      #expect(ByteSize(argument: size.description) == size)
    }
  }
}
