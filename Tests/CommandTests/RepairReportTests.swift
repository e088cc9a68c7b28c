import LinuxIO
import SystemPackage
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands
@testable import MappedRAMFormat

/// What `repair` says of all that can be put back.
@Suite struct RepairReportTests {
  static func report() -> RepairReport {
    let place = FileOffset(0x1000)..<FileOffset(0x3000)
    let parts: [ImageRepair.Part] = [
      .pages(idstr: "pc.ram", 0x10..<0x12), .bitmap(idstr: "pc.ram"), .entries(idstr: "pc.rom"),
      .span(device: "timer"), .span(device: nil), .buffer(DeviceIdentity("gpu"), number: 2),
      .areaHeader(.sums), .areaTable(.devices),
    ]
    var repaired = parts.map {
      ImageRepair.Repaired(part: $0, range: place, source: "copy.img")
    }
    repaired.append(ImageRepair.Repaired(part: .closing, range: place, source: nil))
    return RepairReport(
      image: "vm.img",
      outcome: ImageRepair.Outcome(
        repaired: repaired, verification: VerifyReportTests.damaged().outcome))
  }

  @Test func eachPartIsALine() {
    let text = Self.report().table
    #expect(
      text.hasPrefix(
        """
        repaired  RAMBlock "pc.ram": pages 0x10 to 0x11, 0x1000 to 0x3000 of the file, from copy.img
        repaired  RAMBlock "pc.ram": page bitmap, 0x1000 to 0x3000 of the file, from copy.img
        repaired  RAMBlock "pc.rom": checksums, 0x1000 to 0x3000 of the file, from copy.img
        repaired  state of device "timer", 0x1000 to 0x3000 of the file, from copy.img
        repaired  stream (headers, or what is between devices), 0x1000 to 0x3000 of the file, from copy.img
        repaired  state of device "gpu" behind the stream: buffer 2, 0x1000 to 0x3000 of the file, from copy.img
        repaired  header of area SUMS, 0x1000 to 0x3000 of the file, from copy.img
        repaired  table of area DEVS, 0x1000 to 0x3000 of the file, from copy.img
        repaired  what closes the areas, 0x1000 to 0x3000 of the file, made anew
        damaged   area behind the stream
        """))
    #expect(
      text.hasSuffix(
        "vm.img: damaged: what is named above (1 chunk of 64 KiB of pages) is in none of the others\n"
      ))
  }

  @Test func theAnswerIsInTheLastLine() {
    var report = Self.report()
    report.outcome.verification.damage = []
    report.outcome.verification.hasSums = false
    #expect(report.table.hasSuffix("so what is right cannot be told\n"))
  }
}
