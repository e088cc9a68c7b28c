import MappedRAMFormat
import Testing

@Suite("Names in a cursor") struct ByteInputNameTests {
  @Test func printableASCIIIsAName() throws {
    let name = String(decoding: 0x20...0x7E as ClosedRange<UInt8>, as: UTF8.self)
    let read = try parse(ascii(name)) { (input) throws(FormatError) in
      try input.readName(95, in: .command)
    }
    #expect(read == name)
  }

  @Test(arguments: [0x00, 0x1F, 0x7F, 0x80, 0xC3, 0xFF] as [UInt8])
  func otherBytesAreNone(_ byte: UInt8) throws {
    var input = ByteInput([2, 0x61, byte].span, at: 0x40)
    #expect(throws: FormatError(.nameNotPrintable([0x61, byte]), at: 0x41, in: .ramBlockList)) {
      _ = try input.readCountedName(in: .ramBlockList)
    }
    #expect(input.offset == 0x40)
    try input.skip(1, in: .command)
    #expect(throws: FormatError(.nameNotPrintable([0x61, byte]), at: 0x41, in: .command)) {
      _ = try input.readName(2, in: .command)
    }
    #expect(input.offset == 0x41)
  }

  @Test func emptyNameIsNone() {
    var input = ByteInput([0, 0x61].span)
    #expect(throws: FormatError(.nameEmpty, at: 1, in: .command)) {
      _ = try input.readCountedName(in: .command)
    }
    #expect(input.offset == 0)
  }

  @Test func nameOf255BytesIsRead() throws {
    let name = String(repeating: "n", count: 255)
    #expect(
      try parse(counted(name)) { (input) throws(FormatError) in
        try input.readCountedName(in: .command)
      } == name)
  }

  @Test func nameThatIsCutOffLeavesTheCursor() throws {
    try expectTruncation(of: counted("pc.ram")) { (input) throws(FormatError) in
      let before = input.offset
      do throws(FormatError) {
        return try input.readCountedName(in: .command)
      } catch {
        #expect(input.offset == before)
        throw error
      }
    }
  }
}
