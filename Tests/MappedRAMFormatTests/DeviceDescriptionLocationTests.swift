import MappedRAMFormat
import TestSupport
import Testing

@Suite("Place of the device description") struct DeviceDescriptionLocationTests {
  /// A section's footer, the EOF byte and a description of `count` bytes, which begins at 6.
  private func tail(_ count: Int) -> [UInt8] {
    let text = ascii("{") + [UInt8](repeating: 0x20, count: count - 2) + ascii("}")
    return [0x7E, 0, 0, 0, 6, 0, 6] + be(UInt32(count)) + text
  }

  private func locate(_ bytes: [UInt8], fileSize: Int? = nil) -> FileOffset? {
    DeviceDescription.locate(
      inLast: bytes.span, endingAt: FileOffset(UInt64(fileSize ?? bytes.count)))
  }

  /// Lengths with a zero in each place of their four bytes.
  @Test(arguments: [2, 6, 255, 256, 0x106, 0x0600, 0xFFFF, 0x1_0000, 0x1_0001, 0x6_0006, 0x1_0203])
  func isFoundWhateverItsLength(_ count: Int) {
    #expect(locate(tail(count)) == 6)
    #expect(locate(tail(count), fileSize: count + 0x1000) == FileOffset(UInt64(0x1000 - 5)))
  }

  /// From 16 MiB on, the length may be without a zero: the last one is the EOF byte.
  @Test(arguments: [0x0100_0000, 0x0101_0101]) func longOneIsFound(_ count: Int) {
    #expect(locate(tail(count)) == 6)
  }

  @Test func isFoundInAnyWindowThatHoldsIt() {
    let bytes = tail(700)
    for first in 0...bytes.count {
      let found = locate(Array(bytes[first...]), fileSize: bytes.count)
      #expect(found == (first <= 6 ? 6 : nil), "from \(first)")
    }
  }

  @Test func mayBeTheWholeFile() {
    #expect(locate(Array(tail(40)[6...])) == 0)
  }

  @Test func nothingIsFoundWhereTheLengthMissesTheEnd() {
    let bytes = tail(700)
    #expect(locate(bytes + [0x20]) == nil)
    #expect(locate(bytes + [0]) == nil)
    #expect(locate(bytes.dropLast()) == nil)
    for index in 7..<11 {
      var wrong = bytes
      wrong[index] ^= 1
      #expect(locate(wrong) == nil)
    }
  }

  @Test func nothingIsFoundWithoutATextInBraces() {
    var bytes = tail(700)
    bytes[11] = 0x5B
    #expect(locate(bytes) == nil)
    bytes[11] = 0
    #expect(locate(bytes) == nil)
    #expect(locate([6, 0, 0, 0, 0]) == nil)
    #expect(locate([6, 0, 0, 0, 1, 0x7B]) == 0)
  }

  @Test func nothingIsFoundWhereThereIsNone() {
    #expect(locate([]) == nil)
    #expect(locate([0x7E, 0, 0, 0, 1, 0]) == nil)
    #expect(locate([UInt8](repeating: 0, count: 100)) == nil)
    #expect(locate([UInt8](repeating: 6, count: 100)) == nil)
  }

  @Test func moreBytesThanTheFileHasAreNoFile() {
    #expect(locate(tail(40), fileSize: 50) == nil)
  }

  @Test func noiseBeforeItDoesNotHideIt() {
    var random = SeededGenerator()
    for _ in 0..<500 {
      let count = Int.random(in: 2...2000, using: &random)
      let noise = random.bytes(Int.random(in: 0...30, using: &random)) + [0]
      #expect(locate(noise + tail(count)[6...]) == FileOffset(UInt64(noise.count)))
    }
  }
}
