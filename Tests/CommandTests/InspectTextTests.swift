import MappedRAM
import MappedRAMFormat
import Testing

@testable import MappedRAMCommands

@Suite struct InspectTextTests {
  @Test func columnsLineUpAndLinesEndWithoutSpace() {
    var table = TextTable([.text("Name"), .number("Size"), .text("Kind")])
    table.add(["a", "12345", "x"])
    table.add(["longer", "7", ""])
    var text = ""
    table.write { text += $0 }
    #expect(text == "Name     Size  Kind\na       12345  x\nlonger      7\n")
  }

  @Test(
    arguments: [
      (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1.00 KiB (1024 bytes)"),
      (9_876_543, "9.42 MiB (9876543 bytes)"),
    ] as [(UInt64, String)])
  func smallNumbersOfBytesAreExactAtOnce(_ count: UInt64, _ text: String) {
    #expect(NumberText.exactBytes(count) == text)
  }

  @Test(arguments: [
    (ImageRemark.strayBits(idstr: "pc.ram", count: 1), "1 bit set past the last page"),
    (.strayBits(idstr: "pc.ram", count: 2), "2 bits set past the last page"),
    (.bytesAfterEnd(5), "5 bytes follow the end"), (.noDescription, "no JSON description"),
    (.noFooters, "no footers"), (.libvirtFormat(.raw), "calls the payload raw"),
  ])
  func remarksAreSentences(_ remark: ImageRemark, _ part: String) {
    #expect(remark.sentence.contains(part))
    #expect(remark.sentence.hasSuffix("."))
  }
}
