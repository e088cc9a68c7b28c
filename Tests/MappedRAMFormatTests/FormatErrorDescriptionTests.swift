import MappedRAMFormat
import Testing

@Suite("Messages of FormatError") struct FormatErrorDescriptionTests {
  @Test func hasTheStructureThePlaceAndTheProblem() {
    #expect(
      FormatError(.usedLengthZero, at: 0x60, in: .ramBlock("pc.ram")).description
        == "RAMBlock \"pc.ram\" at 0x60: the used length is 0.")
    #expect(
      FormatError(.description(.endOfText), at: 0x1F, in: .description).description
        == "JSON device description at 0x1f: the text is not JSON: it ends in the middle of a value."
    )
  }

  @Test(
    arguments: [
      (.streamHeader, "stream header"), (.configuration, "CONFIGURATION section"),
      (.sectionHeader, "section header"), (.section("ti\"mer"), "section \"ti\\\"mer\""),
      (.command, "COMMAND"), (.ramBlockList, "block list"),
      (.ramBlock("a\nb"), "RAMBlock \"a\\nb\""),
      (.mappedRAMHeader("r"), "mapped-ram header of RAMBlock \"r\""),
      (.pageBitmap("r"), "page bitmap of RAMBlock \"r\""), (.pages("r"), "pages of RAMBlock \"r\""),
      (.endOfStream, "end of the stream"), (.description, "JSON device description"),
      (.libvirtHeader, "libvirt header"), (.libvirtData, "libvirt data area"),
      (.areas, "area behind the stream"), (.area(.devices), "area of device states"),
      (.device(DeviceIdentity("gpu", instanceID: 1)), "state of device \"gpu:1\""),
    ] as [(FormatError.Context, String)])
  func contextNamesTheStructure(_ context: FormatError.Context, _ message: String) {
    #expect(context.description == message)
  }

  @Test(
    arguments: [
      (.nameBytes, "the length of the name"), (.blocks, "the number of RAMBlocks"),
      (.ramBytes, "the size of RAM in bytes"), (.capabilities, "the number of capabilities"),
      (.descriptionBytes, "the length of the text"), (.descriptionValues, "the number of values"),
      (.sections, "the number of sections"),
      (.preambleBytes, "the length of what stands before RAM"),
      (.libvirtDataBytes, "the length of the data area"),
      (.devices, "the number of devices"), (.deviceBuffers, "the number of buffers"),
      (.deviceBufferBytes, "the length of the buffer"),
    ] as [(FormatError.Limit, String)])
  func limitNamesWhatIsLimited(_ limit: FormatError.Limit, _ message: String) {
    #expect(limit.description == message)
    #expect(
      FormatError.Kind.overLimit(limit, found: 257, limit: 256).description
        == "\(message) is 257, over the limit of 256.")
  }

  @Test(
    arguments: [
      (.endOfText, "it ends in the middle of a value"),
      (.unexpectedByte(0x7D), "unexpected byte 0x7d"),
      (.tooDeep, "values are nested deeper than 128"),
      (.numberOutOfRange, "a number is out of range"),
      (.badString, "a string has bytes or escapes that are not allowed"),
      (.trailingBytes, "something follows the value"),
    ] as [(JSONProblem, String)])
  func problemOfTheTextIsAClause(_ problem: JSONProblem, _ message: String) {
    #expect(problem.description == message)
    #expect(
      FormatError.Kind.description(problem).description == "the text is not JSON: \(message).")
  }

  @Test(arguments: Self.messages) func kindSaysWhatWasFound(
    _ kind: FormatError.Kind, _ message: String
  ) {
    #expect(kind.description == message)
  }
}
