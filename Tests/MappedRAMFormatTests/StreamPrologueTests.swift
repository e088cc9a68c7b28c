import MappedRAMFormat
import Testing

@Suite struct StreamPrologueTests {
  let configuration = Configuration(
    machineType: "virt-10.0",
    subsections: [.targetPageBits(12), .capabilities(["mapped-ram"]), .uuid(Array(0..<16))])

  @Test func readersFindItsPartsInOrder() throws {
    let preamble = encoded { StreamElement.command(Command(.postcopyAdvise)).encode(into: &$0) }
    let prologue = StreamPrologue(
      configuration: configuration, preamble: preamble, ramSectionID: 7)
    let output = prologue.encoded(at: 0x1000)
    try parse(output.bytes, at: 0x1000) { (input) throws(FormatError) in
      _ = try StreamHeader(parsing: &input)
      #expect(try Configuration(parsing: &input) == configuration)
      #expect(try StreamElement(parsing: &input) == .command(Command(.postcopyAdvise)))
      #expect(try StreamElement(parsing: &input) == .start(id: 7, .ram))
      #expect(input.remaining == 0)
      #expect(input.offset == output.offset)
    }
  }

  @Test func listEndsWithAWordAndAFooter() {
    var prologue = StreamPrologue(configuration: configuration, ramSectionID: 0x0102_0304)
    #expect(
      prologue.encodedListEnd(at: .zero).bytes == [0, 0, 0, 0, 0, 0, 0, 0x10, 0x7E, 1, 2, 3, 4])
    prologue.hasFooters = false
    #expect(prologue.encodedListEnd(at: .zero).bytes == [0, 0, 0, 0, 0, 0, 0, 0x10])
  }
}
