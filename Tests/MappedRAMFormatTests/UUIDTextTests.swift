import MappedRAMFormat
import Testing

@Suite struct UUIDTextTests {
  @Test func roundTrips() {
    let text = "550e8400-e29b-41d4-a716-446655440000"
    #expect(UUIDText.parse(text).map(UUIDText.format) == text)
    #expect(UUIDText.parse(text.filter { $0 != "-" }).map(UUIDText.format) == text)
  }

  @Test(arguments: [
    "", "550e8400", "550e8400-e29b-41d4-a716-44665544000g", "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1",
  ])
  func whatIsNoneIsRefused(_ text: String) {
    #expect(UUIDText.parse(text) == nil)
  }
}
