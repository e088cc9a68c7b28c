import Foundation
import LinuxIO
import SystemPackage
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands
@testable import MappedRAMFormat

/// What `diff` says of each kind of difference.
@Suite struct DiffReportTests {
  /// Everything that can differ.
  static func everything() throws -> DiffReport {
    var outcome = ImageComparison.Outcome(
      machineTypes: ("q35", "pc"), report: VMReportTests.transfer)
    let (small, large) = try (
      RAMBlock(idstr: "rom", usedLength: 4096, pageSize: .fourKiB),
      RAMBlock(idstr: "rom", usedLength: 8192, pageSize: .fourKiB)
    )
    var pages = PageBitmap(pageCount: 1000)
    for page in stride(from: 100, to: 120, by: 2) { pages[page] = true }
    pages.insert(500..<516)
    var chunks = PageBitmap(pageCount: 1000)
    chunks.insert(16..<48)
    let blocks: [(String, BlockComparison.Outcome)] = [
      ("ram", .compared(PageDifferences(pages, pageSize: .fourKiB, isByChunks: false))),
      ("vram", .compared(PageDifferences(chunks, pageSize: .fourKiB, isByChunks: true))),
      (
        "bios",
        .compared(
          PageDifferences(PageBitmap(pageCount: 3), pageSize: .fourKiB, isByChunks: false))
      ),
      ("rom", .shape(first: small, second: large)), ("old", .onlyInFirst), ("new", .onlyInSecond),
      ("shared", .ignored(inFirst: true)), ("file", .notThere),
    ]
    outcome.blocks = blocks.map { BlockComparison(idstr: $0, outcome: $1) }
    let state = DecodedState(name: "s", version: 1, fields: [], subsections: [], range: 0..<0)
    let values: [(DecodedValue?, DecodedValue?)] = [
      (.unsigned(7), .unsigned(255)), (.bool(false), .bool(true)), (.signed(-1), nil),
      (.bytes(Array("running".utf8) + [0, 0]), .bytes(Array("paused".utf8) + [0, 0, 0])),
      (.bytes([1, 2]), .bytes([1, 3])),
      (
        .bytes([UInt8](repeating: 0, count: 100)),
        .bytes([UInt8](repeating: 0, count: 98) + [1, 2, 3, 4])
      ),
      (nil, .structure(state)), (.array([.absent]), .absent),
    ]
    var difference = DeviceComparison.StateDifferences(
      firstByteCount: 10, secondByteCount: 12, firstDifference: 3)
    difference.fields = values.enumerated().map {
      DeviceComparison.FieldDifference(path: "a.b[\($0)]", first: $1.0, second: $1.1)
    }
    difference.fieldsOmitted = 9
    outcome.devices = [
      DeviceComparison(identity: DeviceIdentity("cpu"), difference: .state(difference)),
      DeviceComparison(
        identity: DeviceIdentity("timer", instanceID: 1),
        difference: .state(
          DeviceComparison.StateDifferences(
            firstByteCount: 10, secondByteCount: 10, firstDifference: 3))),
      DeviceComparison(
        identity: DeviceIdentity("ide"), difference: .version(first: 1, second: 2)),
      DeviceComparison(identity: DeviceIdentity("gone"), difference: .onlyInFirst),
      DeviceComparison(identity: DeviceIdentity("more"), difference: .onlyInSecond),
    ]
    outcome.buffers = [
      BufferComparison(identity: DeviceIdentity("gpu"), difference: .buffers([2, 5])),
      BufferComparison(identity: DeviceIdentity("nic"), difference: .onlyInFirst),
    ]
    outcome.remarks = [
      .unusableSums("a"), .unusableBlockSums("b", idstr: "ram"), .sumsDoNotFit(idstr: "ram"),
      .statesNotCompared([DeviceIdentity("gpu")]),
    ]
    return DiffReport(first: "a.img", second: "b.img", outcome: outcome)
  }

  @Test func eachDifferenceIsALine() throws {
    #expect(
      try Self.everything().table == """
        machine type: q35 -> pc
        RAMBlock "ram": 26 of 1000 pages differ, in 11 ranges
          0x64 to 0x64 (4.00 KiB)
          0x66 to 0x66 (4.00 KiB)
          0x68 to 0x68 (4.00 KiB)
          0x6a to 0x6a (4.00 KiB)
          0x6c to 0x6c (4.00 KiB)
          0x6e to 0x6e (4.00 KiB)
          0x70 to 0x70 (4.00 KiB)
          0x72 to 0x72 (4.00 KiB)
          and 3 more ranges
        RAMBlock "vram": 32 of 1000 pages are in chunks of 64 KiB that differ, in 1 range
          0x10 to 0x2f (128 KiB)
        RAMBlock "rom": 4.00 KiB in pages of 4096 bytes -> 8.00 KiB in pages of 4096 bytes; its pages were not compared
        RAMBlock "old": only in the first image
        RAMBlock "new": only in the second image
        RAMBlock "shared": its pages are not in the first image
        RAMBlock "file": its pages are in neither image
        device "cpu": state (10 -> 12 bytes)
          a.b[0]: 7 -> 255 = 0xff
          a.b[1]: false -> true
          a.b[2]: -1 -> not there
          a.b[3]: "running" -> "paused"
          a.b[4]: 01 02 -> 01 03
          a.b[5]: 100 -> 102 bytes, from byte 98 on: 00 00 -> 01 02 03 04
          a.b[6]: not there -> s
          a.b[7]: 1 element -> null
          and 1 more field
        device "timer:1": state (10 bytes), from byte 3 on
        device "ide": version 1 -> 2
        device "gone": only in the first image
        device "more": only in the second image
        state of device "gpu" behind the stream: 2 buffers, the first is number 2
        state of device "nic" behind the stream: only in the first image
        a.img and b.img differ: 6 RAMBlocks (232 KiB), 7 devices, the machine type

        """)
  }

  @Test func aMapShowsWhere() throws {
    var report = try Self.everything()
    report.showsMap = true
    report.width = 40
    let map = try #require(report.table.components(separatedBy: "before.\n").last)
    #expect(
      map.hasPrefix(
        """

        ram: a character is 4 pages (16.0 KiB)
          0x000000 |                |
        """), "\(map)")
    #expect(map.contains("\nvram: a character is 4 pages") && !map.contains("\nbios:"))
  }

  @Test func remarksAreNotes() throws {
    let text = try Self.everything().text
    #expect(text.split(separator: "\n").filter { $0.hasPrefix("  Note: ") }.count == 4)
  }
}
