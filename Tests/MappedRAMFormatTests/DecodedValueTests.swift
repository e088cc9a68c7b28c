import MappedRAMFormat
import Testing

@Suite struct DecodedValueTests {
  @Test(arguments: [
    ("running\0\0\0", "running"), ("paused", "paused"), ("a b~", "a b~"), ("\0", nil), ("", nil),
    ("run\0ning", nil), ("ru\u{7F}", nil), ("é", nil), ("a\n", nil),
  ])
  func printableBytesBeforeZerosAreText(_ bytes: String, _ text: String?) {
    #expect(DecodedValue.bytes(ascii(bytes)).text == text)
  }

  @Test func onlyBytesAreText() {
    #expect(DecodedValue.unsigned(0x41).text == nil)
    #expect(DecodedValue.absent.text == nil)
    #expect(DecodedValue.array([.bytes([0x41])]).text == nil)
  }
}
