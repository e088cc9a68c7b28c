import LinuxIO
import SystemPackage
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands
@testable import MappedRAMFormat

/// What `verify` says of each kind of damage.
@Suite struct VerifyReportTests {
  /// Everything that can be damaged.
  static func damaged() -> VerifyReport {
    let place = FileOffset(0x1000)..<FileOffset(0x3000)
    var outcome = ImageVerification.Outcome(
      image: Image(path: "vm.img", fileSize: 0x4000), hasSums: true, report: VMReportTests.transfer)
    outcome.chunkCount = 183_501
    outcome.damagedChunkCount = 1
    outcome.damage = [
      .structure(FormatError(.area(.noClosing), at: 0x3f00, in: .areas)),
      .pages(idstr: "pc.ram", 0x1a3f0..<0x1a400, at: place),
      .bitmap(idstr: "pc.bios", at: place), .entries(idstr: "pc.rom", at: place),
      .span(device: "timer", at: place), .span(device: nil, at: place),
      .buffer(DeviceIdentity("gpu", instanceID: 1), number: 3, at: place), .foreignSums,
    ]
    return VerifyReport(image: "vm.img", outcome: outcome)
  }

  @Test func eachDamageIsALine() {
    #expect(
      Self.damaged().table == """
        damaged   area behind the stream at 0x3f00: expected an area or the line that closes the areas, found neither. The file is cut off or damaged here.
        damaged   RAMBlock "pc.ram": pages 0x1a3f0 to 0x1a3ff, 0x1000 to 0x3000 of the file
        damaged   RAMBlock "pc.bios": page bitmap, 0x1000 to 0x3000 of the file; its pages cannot be checked
        damaged   RAMBlock "pc.rom": checksums, 0x1000 to 0x3000 of the file; its pages cannot be checked
        damaged   state of device "timer", 0x1000 to 0x3000 of the file
        damaged   stream (headers, or what is between devices), 0x1000 to 0x3000 of the file
        damaged   state of device "gpu:1" behind the stream: buffer 3, 0x1000 to 0x3000 of the file
        damaged   the checksums are of another image: they do not cover what is in this one
        vm.img: damaged: 1 of 183501 chunks of 64 KiB, and what is named above

        """)
  }

  @Test func theRootAloneIsOneLine() {
    var report = Self.damaged()
    report.isRoot = true
    #expect(report.table.isEmpty && report.text.hasPrefix("damaged   "))
    report.outcome.damage = []
    report.outcome.root = ContentSum(high: 1, low: 0xABC)
    #expect(report.table == "xxh3-128:00000000000000010000000000000abc\n")
  }
}
