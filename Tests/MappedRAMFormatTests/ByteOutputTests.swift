import MappedRAMFormat
import Testing

@Suite struct ByteOutputTests {
  @Test func writesIntegersInBothByteOrders() {
    var output = ByteOutput()
    output.writeBigEndian(UInt32(0x0102_0304))
    output.writeLittleEndian(UInt32(0x0102_0304))
    output.writeBigEndian(Int16(-2))
    output.writeLittleEndian(UInt8(9))
    #expect(output.bytes == [1, 2, 3, 4, 4, 3, 2, 1, 0xFF, 0xFE, 9])
  }

  @Test func extremesComeBackAsTheyWere() throws {
    for value in [Int64.min, -1, 0, 1, .max] {
      let big = encoded { $0.writeBigEndian(value) }
      let little = encoded { $0.writeLittleEndian(value) }
      #expect(little == big.reversed())
      #expect(
        try parse(big) { (input) throws(FormatError) in
          try input.readBigEndian(Int64.self, in: .command)
        } == value)
    }
  }

  @Test func knowsThePlaceOfTheNextByte() {
    var output = ByteOutput(at: 0x100)
    #expect(output.offset == 0x100)
    output.write([1, 2, 3])
    #expect(output.offset == 0x103)
    #expect(output.base == 0x100)
  }

  @Test(arguments: [0, 1, 255]) func nameHasItsLengthBeforeIt(_ count: Int) {
    let name = String(repeating: "x", count: count)
    #expect(encoded { $0.writeCountedName(name) } == [UInt8(count)] + ascii(name))
  }

  @Test func nameOf256BytesIsAProgrammersError() async {
    await #expect(processExitsWith: .failure) {
      var output = ByteOutput()
      output.writeCountedName(String(repeating: "x", count: 256))
    }
  }
}
