import MappedRAMFormat
import Testing

@Suite struct ByteInputTests {
  let bytes: [UInt8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0xFE]

  @Test func readsIntegersInBothByteOrders() throws {
    var input = ByteInput(bytes.span)
    #expect(try input.readBigEndian(UInt16.self, in: .command) == 0x0102)
    #expect(try input.readLittleEndian(UInt16.self, in: .command) == 0x0403)
    #expect(try input.readBigEndian(UInt32.self, in: .command) == 0x0506_0708)
    #expect(try input.readBigEndian(Int8.self, in: .command) == -2)
    #expect(input.remaining == 0)
  }

  @Test func readsIntegersAtUnalignedPlaces() throws {
    var input = ByteInput(bytes.span)
    try input.skip(1, in: .command)
    #expect(try input.readBigEndian(UInt64.self, in: .command) == 0x0203_0405_0607_08FE)
  }

  @Test func knowsItsPlaceInTheFile() throws {
    var input = ByteInput(bytes.span, at: 0x100)
    #expect(input.offset == 0x100)
    _ = try input.readBytes(3, in: .command)
    #expect(input.offset == 0x103)
    #expect(input.remaining == 6)
  }

  @Test func integerThatDoesNotFitLeavesTheCursor() throws {
    var input = ByteInput(bytes.span, at: 0x10)
    try input.skip(2, in: .command)
    let before = input.offset
    #expect(throws: FormatError(.truncated(needed: 8, available: 7), at: 0x12, in: .configuration))
    {
      _ = try input.readBigEndian(UInt64.self, in: .configuration)
    }
    #expect(throws: FormatError(.truncated(needed: 8, available: 7), at: 0x12, in: .command)) {
      _ = try input.readLittleEndian(UInt64.self, in: .command)
    }
    #expect(input.offset == before)
  }

  @Test func bytesAndSkipsEndWithTheInput() throws {
    var input = ByteInput(bytes.span)
    #expect(throws: FormatError(.truncated(needed: 10, available: 9), at: 0, in: .command)) {
      _ = try input.readBytes(10, in: .command)
    }
    #expect(throws: FormatError(.truncated(needed: 10, available: 9), at: 0, in: .command)) {
      try input.skip(10, in: .command)
    }
    #expect(try input.readBytes(0, in: .command) == [])
    #expect(try input.readBytes(9, in: .command) == bytes)
    try input.skip(0, in: .command)
    #expect(throws: FormatError(.truncated(needed: 1, available: 0), at: 9, in: .command)) {
      try input.skip(1, in: .command)
    }
  }

  @Test func enormousCountIsRefusedWithoutAllocation() {
    var input = ByteInput(bytes.span)
    #expect(
      throws: FormatError(
        .truncated(needed: ByteCount(Int.max), available: 9), at: 0, in: .command)
    ) {
      _ = try input.readBytes(.max, in: .command)
    }
  }

  @Test func peeksWithoutMoving() throws {
    var input = ByteInput(bytes.span)
    try input.skip(7, in: .command)
    #expect(input.peek() == 8)
    #expect(input.peek(1) == 0xFE)
    #expect(input.peek(2) == nil)
    #expect(input.peek(.max) == nil)
    #expect(input.remaining == 2)
  }

  @Test func looksOnlyAhead() async {
    await #expect(processExitsWith: .failure) {
      _ = ByteInput([1, 2].span).peek(-1)
    }
    await #expect(processExitsWith: .failure) {
      try ByteInput([1, 2].span).require(-1, in: .command)
    }
  }

  /// At every place in every length, whatever the bytes beside it look like.
  @Test(arguments: [0x00, 0x01, 0x7E, 0x7F, 0x80, 0xFF] as [UInt8])
  func findsAPatternAtAnyPlace(_ byte: UInt8) {
    for neighbour in [byte ^ 1, byte ^ 0x80, byte &+ 1, byte &- 1] {
      for count in 1...35 {
        for place in 0..<count {
          var text = [UInt8](repeating: neighbour, count: count)
          text[place] = byte
          let input = ByteInput(text.span)
          #expect(input.firstIndex(of: [byte]) == place)
          let found = place + 1 < count ? place : nil
          #expect(input.firstIndex(of: [byte, neighbour]) == found)
          #expect(input.firstIndex(of: [byte, byte]) == nil)
        }
      }
    }
  }

  @Test func findsAPatternFromTheCursorOn() throws {
    let text = ascii("aabaabcaab")
    var input = ByteInput(text.span)
    #expect(input.firstIndex(of: ascii("aabc")) == 3)
    #expect(input.firstIndex(of: ascii("a")) == 0)
    #expect(input.firstIndex(of: text) == 0)
    #expect(input.firstIndex(of: text + [0]) == nil)
    #expect(input.firstIndex(of: ascii("x")) == nil)
    try input.skip(4, in: .command)
    #expect(input.firstIndex(of: ascii("aab")) == 3)
    #expect(input.firstIndex(of: ascii("aabc")) == nil)
  }
}
