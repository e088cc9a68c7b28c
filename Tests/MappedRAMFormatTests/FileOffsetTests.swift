import MappedRAMFormat
import Testing

@Suite struct FileOffsetTests {
  @Test func additionStopsAtTheEndOf64Bits() {
    #expect(FileOffset.zero.adding(ByteCount(UInt64.max)) == FileOffset(.max))
    #expect(FileOffset(1).adding(ByteCount(UInt64.max)) == nil)
    #expect(FileOffset(.max).adding(.zero) == FileOffset(.max))
    #expect(FileOffset(.max).adding(1) == nil)
    #expect(FileOffset(5) + 3 == 8)
    #expect(FileOffset(5) - 3 == ByteCount(2))
  }

  @Test(
    arguments: [
      (0, 0), (1, 0x10_0000), (0xF_FFFF, 0x10_0000), (0x10_0000, 0x10_0000),
      (0x10_0001, 0x20_0000), (UInt64.max - 0xF_FFFF, UInt64.max - 0xF_FFFF),
    ] as [(UInt64, UInt64)])
  func alignsToTheNextMultiple(_ offset: UInt64, _ aligned: UInt64) {
    #expect(FileOffset(offset).alignedUp(to: 1 << 20) == FileOffset(aligned))
    #expect(FileOffset(aligned).isAligned(to: 1 << 20))
    #expect(FileOffset(offset).isAligned(to: 1 << 20) == (offset == aligned))
  }

  @Test func alignmentStopsAtTheEndOf64Bits() {
    #expect(FileOffset(UInt64.max - 0xF_FFFE).alignedUp(to: 1 << 20) == nil)
    #expect(FileOffset(.max).alignedUp(to: 1 << 20) == nil)
    #expect(FileOffset(.max).alignedUp(to: 1) == FileOffset(.max))
  }

  @Test func comparesAndMeasures() {
    #expect(FileOffset(1) < 2)
    #expect(!(FileOffset(2) < 2))
    #expect((FileOffset(3)..<FileOffset(10)).byteCount == 7)
  }

  @Test func isShownInHexadecimal() {
    #expect(FileOffset(0x10_0000).description == "0x100000")
    #expect(FileOffset.zero.description == "0x0")
    #expect(FileOffset(.max).description == "0xffffffffffffffff")
  }
}

@Suite struct ByteCountTests {
  @Test func additionStopsAtTheEndOf64Bits() {
    #expect(ByteCount(UInt64.max).adding(.zero) == ByteCount(UInt64.max))
    #expect(ByteCount(UInt64.max).adding(1) == nil)
    #expect(ByteCount(1).adding(2) == 3)
  }

  @Test func addsSubtractsAndCompares() {
    var sum: ByteCount = 4
    sum += 5
    #expect(sum == 9)
    #expect(sum - 9 == .zero)
    #expect(ByteCount(1) < 2)
    #expect(ByteCount(Int.max).rawValue == UInt64(Int64.max))
  }

  @Test func isShownInDecimal() {
    #expect(ByteCount(4096).description == "4096")
  }

  @Test func negativeDifferenceIsAProgrammersError() async {
    await #expect(processExitsWith: .failure) { _ = ByteCount(1) - 2 }
    await #expect(processExitsWith: .failure) { _ = FileOffset(1) - 2 }
    await #expect(processExitsWith: .failure) { _ = FileOffset(.max) + 1 }
  }
}
