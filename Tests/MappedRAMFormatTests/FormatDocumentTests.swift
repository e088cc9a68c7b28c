import Foundation
import MappedRAMFormat
import Testing

/// FORMAT.md's worked example is generated here from the encoders, so that neither can change without the other.
/// `SNAPSHOT_UPDATE=1` writes the document's part anew.
@Suite struct FormatDocumentTests {
  static let path = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "FORMAT.md").path
  static let begin = "<!-- example:begin -->\n```\n"
  static let end = "\n```\n<!-- example:end -->"

  /// The document, cut at the marks: before, the example, behind.
  static func document() throws -> (before: String, example: String, behind: String) {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let begin = try #require(text.range(of: begin), "FORMAT.md has the mark of the example's begin")
    let end = try #require(
      text.range(of: end, range: begin.upperBound..<text.endIndex),
      "FORMAT.md has the mark of the example's end")
    return (
      String(text[..<begin.upperBound]), String(text[begin.upperBound..<end.lowerBound]),
      String(text[end.lowerBound...])
    )
  }

  @Test func exampleIsWhatTheEncodersWrite() throws {
    let listing = try ExampleImage().listing().joined(separator: "\n")
    let document = try Self.document()
    if ProcessInfo.processInfo.environment["SNAPSHOT_UPDATE"] == "1", listing != document.example {
      try (document.before + listing + document.behind)
        .write(toFile: Self.path, atomically: true, encoding: .utf8)
      Issue.record("FORMAT.md was rewritten: look at the change and run again")
      return
    }
    let found = document.example.split(separator: "\n", omittingEmptySubsequences: false)
    let expected = listing.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, pair) in zip(found, expected).enumerated() {
      #expect(pair.0 == pair.1, "line \(index + 1) of the example")
    }
    #expect(found.count == expected.count)
  }

  /// The places in the example's prose, and that its bytes are the ones that the readers take.
  @Test func exampleReadsBack() throws {
    let image = try ExampleImage()
    #expect(image.layout.blocks[0].bitmap == FileOffset(0x82)..<0x8A)
    #expect(image.layout.blocks[0].pages == FileOffset(0x100000)..<0x102000)
    #expect(image.head.count == 0x8A)
    #expect(image.layout.listEnd + ByteCount(image.tail.count) == 0x1024F2)

    // SAFETY: bytes have no other representation, and `image` outlives the input.
    var input = unsafe ByteInput(image.head.span.bytes)
    _ = try StreamHeader(parsing: &input)
    let configuration = try Configuration(parsing: &input)
    #expect(configuration.machineType == "none")
    #expect(configuration.isMappedRAM && !configuration.ignoresShared)
    let start = try StreamElement(parsing: &input)
    #expect(start == .start(id: 1, .ram))
    let word = try RAMWord(parsing: &input, in: .ramBlockList)
    #expect(word.memorySize == 8192)
    let entry = try RAMBlockEntry(parsing: &input, form: RAMBlockEntry.Form(configuration))
    let entryEnd = input.offset
    #expect(entry.header?.bitmapOffset == entryEnd)
    let bitmap = try PageBitmap.parse(&input, pageCount: 2, of: entry.idstr)
    #expect(Array(bitmap.bitmap.runs) == [1..<2])
    let remaining = input.remaining
    #expect(remaining == 0)
  }

  /// The 70-page bitmap of the chapter on bit order.
  @Test func bitmapExampleIsWhatTheEncoderWrites() throws {
    var bitmap = PageBitmap(pageCount: 70)
    for page in [0, 3, 9, 63, 64, 69] { bitmap[page] = true }
    var output = ByteOutput()
    bitmap.encode(into: &output)
    let halves = [output.bytes.prefix(8), output.bytes.dropFirst(8)].map { half in
      half.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
    let document = try String(contentsOfFile: Self.path, encoding: .utf8)
    #expect(document.contains("\n" + halves.joined(separator: "   ") + "\n"))
  }

  /// What the table of limits says that a reader should take is what this one takes.
  @Test func limitsOfTheTableAreTheReaders() throws {
    func mebibytes(_ count: ByteCount) -> String { "\(count.rawValue >> 20) MiB" }
    func power(_ number: Int) -> String { "2^\(number.trailingZeroBitCount)" }
    let name = "\(ImageLimits.nameBytes) bytes"
    let text =
      "\(mebibytes(ImageLimits.descriptionBytes)), \(power(ImageLimits.descriptionValues)) values, "
      + "nested \(ImageLimits.descriptionDepth) deep"
    let document = try String(contentsOfFile: Self.path, encoding: .utf8)
    for row in [
      "| idstr, capability | 1 to 255 bytes | \(name) |",
      "| machine type | 1 to 2^32 − 1 bytes | \(name) |",
      "| capabilities | 2^32 − 1 | \(ImageLimits.capabilities) |",
      "| blocks | | \(ImageLimits.blocks) |",
      "| sum of the used lengths | 64 bits | \(ImageLimits.ramBytes.rawValue >> 40) TiB |",
      "| sections and commands | | \(power(ImageLimits.sections)) |",
      "| body whose end must be searched for | | \(ImageLimits.searchedBodyBytes.rawValue >> 30) GiB |",
      "| records in VFIO devices' sections | | \(power(ImageLimits.vfioRecords)) |",
      "| between the configuration and `ram` | | \(mebibytes(ImageLimits.preambleBytes)) |",
      "| description | 2^32 − 1 bytes | \(text) |",
      "| libvirt's data area | 1 to 2^32 − 1 bytes | \(mebibytes(ImageLimits.libvirtDataBytes)) |",
      "| areas | \(ImageLimits.areas) | as the format |",
      "| devices in `DEVS` | 1 to \(ImageLimits.devices) | as the format |",
      "| buffers in `DEVS` | 1 of each device, \(power(ImageLimits.deviceBuffers)) of all | as the format |",
      "| bytes of a buffer in `DEVS` | 0 to \(power(ImageLimits.deviceBufferBytes)) (16 MiB) | as the format |",
    ] { #expect(document.contains("\n\(row)\n")) }
  }
}
