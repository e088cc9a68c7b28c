import MappedRAMFormat
import QMP
import TestSupport
import Testing

@testable import QEMUControl

@Suite struct RAMBlockTableTests {
  static let head =
    "              Block Name    PSize              Offset               Used              Total                HVA  RO\n"

  /// What QEMU 10.0.2 printed for a q35 with a virtio-mem, and a line with a long name.
  static let table =
    head + """
              0000:00:01.0/vm0    4 KiB  0x0000000001000000 0x0000000004000000 0x0000000004000000 0x00007f770be00000  rw
          /rom@etc/acpi/tables    4 KiB  0x0000000005180000 0x0000000000020000 0x0000000000200000 0x00007f770a800000  ro
                                  4 KiB  0x0000000005000000 0x0000000000100000 0x0000000000100000 0x00007f7755e00000  rw
      0000:00:02.0/virtio-net-pci.rom    2 MiB  0x0000000005100000 0x0000000000040000 0x0000000000040000 0x00007f7754600000  ro

      """

  func parse(_ table: String) throws(QMPError) -> [GuestBlock] {
    try GuestBlock.parse(table: table, of: "x")
  }

  /// A line with these values.
  func line(
    _ name: String = "a", page: String = "4 KiB", used: String = "0x1000", total: String = "0x1000",
    address: String = "0x7f0000000000", end: String = "  rw"
  ) -> String {
    "   \(name)    \(page)  0x0 \(used) \(total) \(address)\(end)\n"
  }

  /// The number of the line that is refused; 0 if none is.
  func refusedLine(_ table: String) -> Int {
    do {
      _ = try parse(table)
      return 0
    } catch {
      guard case .unexpectedAnswer("x", let place, _) = error, place.hasPrefix("line ") else {
        return -1
      }
      return Int(place.dropFirst(5)) ?? -1
    }
  }

  @Test func aRealTableIsRead() throws {
    let blocks = try parse(Self.table)
    #expect(
      blocks == [
        GuestBlock(
          idstr: "0000:00:01.0/vm0", usedLength: 0x400_0000, maxLength: 0x400_0000,
          hostAddress: 0x7f77_0be0_0000, offset: 0x100_0000, isReadOnly: false),
        GuestBlock(
          idstr: "/rom@etc/acpi/tables", usedLength: 0x2_0000, maxLength: 0x20_0000,
          hostAddress: 0x7f77_0a80_0000, offset: 0x518_0000, isReadOnly: true),
        GuestBlock(
          idstr: "", usedLength: 0x10_0000, maxLength: 0x10_0000, hostAddress: 0x7f77_55e0_0000,
          offset: 0x500_0000, isReadOnly: false),
        GuestBlock(
          idstr: "0000:00:02.0/virtio-net-pci.rom", usedLength: 0x4_0000, maxLength: 0x4_0000,
          hostAddress: 0x7f77_5460_0000, pageBytes: 2 << 20, offset: 0x510_0000, isReadOnly: true),
      ])
    #expect(blocks.map(\.isMigratable) == [true, true, false, true])
    // The human monitor ends its lines with \r\n.
    #expect(try parse(Self.table.split(separator: "\n").joined(separator: "\r\n")) == blocks)
  }

  /// What QEMU 7.2.22 printed: no addresses, and not whether a block can be written to.
  @Test func aTableWithoutAddresses() throws {
    let head =
      "              Block Name    PSize              Offset               Used              Total\n"
    let table =
      head + """
                      pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000
        /rom@etc/acpi/tables    4 KiB  0x0000000004080000 0x0000000000020000 0x0000000000200000

        """
    #expect(
      try parse(table) == [
        GuestBlock(
          idstr: "pc.ram", usedLength: 0x400_0000, maxLength: 0x400_0000, hostAddress: nil),
        GuestBlock(
          idstr: "/rom@etc/acpi/tables", usedLength: 0x2_0000, maxLength: 0x20_0000,
          hostAddress: nil, offset: 0x408_0000),
      ])
    // With addresses in the head, each line has one.
    #expect(refusedLine(Self.head + "a  4 KiB  0x0 0x1000 0x1000\n") == 2)
    #expect(refusedLine(head + line()) == 2)
  }

  /// The table, cut after each of its bytes: fewer blocks, an error, or a block whose last column is not
  /// there, but never another block than those of the whole.
  @Test func aTableThatIsCutOffGivesNoWrongBlock() throws {
    let whole = try parse(Self.table)
    for length in 0..<Self.table.utf8.count {
      guard let blocks = try? parse(String(Self.table.prefix(length))) else { continue }
      for (found, expected) in zip(blocks, whole) {
        #expect(found.idstr == expected.idstr)
        #expect(found.usedLength == expected.usedLength || found == blocks.last)
      }
    }
    #expect(refusedLine("") == 1)
    #expect(refusedLine("unknown command: 'info ramblock'\n") == 1)
    #expect(try parse(Self.head).isEmpty)
  }

  @Test(arguments: [
    ("a b c", "a b c"), ("4 KiB", "4 KiB"), ("rw", "rw"), ("ä", "ä"), ("0x10 0x10", "0x10 0x10"),
  ])
  func namesMayBeOfAnyForm(name: String, expected: String) throws {
    #expect(try parse(Self.head + line(name)).map(\.idstr) == [expected])
    #expect(try parse(Self.head + line(name, end: "")).map(\.isReadOnly) == [nil])
  }

  @Test(arguments: [("512 B", 512), ("4 KiB", 4096), ("2 MiB", 2 << 20), ("1 GiB", 1 << 30)])
  func pageSizesHaveUnits(text: String, bytes: UInt64) throws {
    #expect(try parse(Self.head + line(page: text)).map(\.pageBytes) == [bytes])
  }

  @Test func linesThatCannotBeAreNamed() {
    let good = Self.head + line("good")
    let bad = [
      "x\n", "   \n", line(page: "4"), line(page: "4 TiB"), line(page: "3 KiB"),
      line(page: "0 KiB"), line(page: "-4 KiB"), line(page: "4194304 KiB"),
      line(used: "1000"), line(used: "0x"), line(used: "0x-1"), line(used: "0x+1"),
      line(used: "0x10000000000000000"), line(used: "0x1001"), line(address: "0x0"),
      line(address: "0xffffffffffffffff"), line(total: "0xffffffffffffffff"),
      line(total: "0x400000000001"), line("good"), line(String(repeating: "n", count: 256)),
      line(end: "  xx"),
    ]
    for line in bad { #expect(refusedLine(good + line) == 3, "\(line)") }
    #expect(refusedLine(good + line(String(repeating: "n", count: 255))) == 0)
    #expect(refusedLine(good + line("", used: "0x0") + line("")) == 0)
  }

  @Test func thereIsALimitOfBlocks() throws {
    let lines = (0..<ImageLimits.blocks).map { line("b\($0)") }.joined()
    #expect(try parse(Self.head + lines).count == ImageLimits.blocks)
    #expect(refusedLine(Self.head + lines + line("more")) == ImageLimits.blocks + 2)
  }

  /// Random changes of bytes: a list that fits its rules, or an error; nothing else.
  @Test func noTableCrashes() {
    var generator = SeededGenerator()
    let table = Array(Self.table.utf8)
    for _ in 0..<2000 {
      var changed = table
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<changed.count, using: &generator)
        changed[index] =
          Bool.random(using: &generator)
          ? UInt8.random(in: 0...255, using: &generator) : Array(" 0x9f\n-".utf8)[index % 7]
      }
      guard let blocks = try? parse(String(decoding: changed, as: UTF8.self)) else { continue }
      for block in blocks {
        #expect(block.usedLength <= block.maxLength && block.hostAddress != 0)
      }
    }
  }

  @Test func theTableIsAskedForInTwoWays() throws {
    let table = Self.table
    try withConnection { qemu throws in
      try qemu.answer(["human-readable-text": .string(table)])
      let request = try #require(try qemu.request())
      #expect(request["execute"] == "x-query-ramblock")
      qemu.send(FakeQEMU.failure("CommandNotFound", "gone", to: request))
      let second = try #require(try qemu.answer(.string(table)))
      #expect(second["execute"] == "human-monitor-command")
      #expect(second["arguments"] == ["command-line": "info ramblock"])
      try qemu.answer(["human-readable-text": 5])
    } client: { connection throws in
      let blocks = try connection.ramBlocks()
      #expect(blocks.count == 4)
      #expect(try connection.ramBlocks() == blocks)
      #expect(
        thrown { _ = try connection.ramBlocks() }
          == .unexpectedAnswer(
            command: "x-query-ramblock", place: "return.human-readable-text",
            expected: "a string"))
    }
  }
}
