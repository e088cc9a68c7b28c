import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// What a reader would refuse is refused when it is planned: before a byte is written, and before an image that is to be replaced
/// in place is gone.
@Suite struct PlanCheckTests {
  /// Pages that nobody reads.
  private struct NoPages: PageSource, CopyingSource {
    let byteCount: UInt64
    var readAccess: SourceAccess { .copy(self) }
    func copy(
      into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
    ) throws(SystemCallError) {
      preconditionFailure("a plan reads no page")
    }
  }

  private static func block(
    _ idstr: String = "pc.ram", usedLength: ByteCount = 1_048_576, pageSize: PageSize = .fourKiB,
    isIgnored: Bool = false
  ) throws -> SavePlan.Block {
    SavePlan.Block(
      try RAMBlock(
        idstr: idstr, usedLength: usedLength, pageSize: pageSize, address: isIgnored ? 0 : nil,
        isIgnored: isIgnored),
      pages: isIgnored ? nil : NoPages(byteCount: usedLength.rawValue))
  }

  private static func plan(
    _ configuration: Configuration = .mappedRAM(machineType: "none"), preamble: [UInt8] = [],
    blocks: [SavePlan.Block]? = nil
  ) throws -> SavePlan {
    try SavePlan(
      prologue: StreamPrologue(configuration: configuration, preamble: preamble),
      blocks: try blocks ?? [block()], tail: [.bytes(TestGuest.tail)], for: "made-up")
  }

  /// The error of a plan, in the file that the plan is about.
  private static func problem(
    _ body: () throws -> SavePlan
  ) throws -> FormatError.Kind {
    do {
      _ = try body()
    } catch ImageError.format(let error, in: "made-up") {
      return error.kind
    }
    throw HarnessError("there is a plan")
  }

  @Test(arguments: [
    ("", FormatError.Kind.nameEmpty),
    ("pc\n", .nameNotPrintable(Array("pc\n".utf8))),
    ("pç", .nameNotPrintable(Array("pç".utf8))),
    (String(repeating: "x", count: 256), .overLimit(.nameBytes, found: 256, limit: 255)),
  ])
  func aMachineTypeThatCannotBe(_ name: String, _ problem: FormatError.Kind) throws {
    #expect(try Self.problem { try Self.plan(.mappedRAM(machineType: name)) } == problem)
  }

  @Test(
    arguments: [
      ([], FormatError.Kind.notMappedRAM),
      ([.capabilities([])], .notMappedRAM),
      ([.capabilities(["xbzrle"])], .notMappedRAM),
      ([.capabilities(["mapped-ram", ""])], .nameEmpty),
      ([.capabilities(["mapped-ram", "\u{7F}"])], .nameNotPrintable([0x7F])),
      (
        [.capabilities(["mapped-ram", String(repeating: "x", count: 256)])],
        .overLimit(.nameBytes, found: 256, limit: 255)
      ),
      (
        [.capabilities([String](repeating: "mapped-ram", count: 257))],
        .overLimit(.capabilities, found: 257, limit: 256)
      ),
      ([.capabilities(["mapped-ram"]), .targetPageBits(9)], .targetPageBits(found: 9)),
      ([.capabilities(["mapped-ram"]), .targetPageBits(.max)], .targetPageBits(found: .max)),
      ([.capabilities(["mapped-ram"]), .uuid([])], .uuidLength(found: 0)),
      (
        [.capabilities(["mapped-ram"]), .uuid([UInt8](repeating: 1, count: 17))],
        .uuidLength(found: 17)
      ),
    ] as [([Configuration.Subsection], FormatError.Kind)])
  func aConfigurationThatCannotBe(
    _ subsections: [Configuration.Subsection], _ problem: FormatError.Kind
  ) throws {
    let configuration = Configuration(machineType: "none", subsections: subsections)
    #expect(try Self.problem { try Self.plan(configuration) } == problem)
  }

  /// At the limits there is a plan.
  @Test func theLargestConfigurationIsPlanned() throws {
    let name = String(repeating: "x", count: 255)
    let names = ["mapped-ram"] + [String](repeating: name, count: 255)
    _ = try Self.plan(
      Configuration(
        machineType: name,
        subsections: [
          .targetPageBits(12), .capabilities(names), .uuid([UInt8](repeating: 7, count: 16)),
        ]))
  }

  /// What stands before RAM is whole elements, and no RAM or end is among them.
  @Test func aPreambleThatCannotBe() throws {
    #expect(
      try Self.problem { try Self.plan(preamble: [0xEE]) } == .unknownSectionType(0xEE))
    #expect(try Self.problem { try Self.plan(preamble: [0]) } == .missingRAMSection)
    var cut = ByteOutput()
    StreamElement.full(id: 3, SectionIdentity(idstr: "early", instanceID: 0, version: 1))
      .encode(into: &cut)
    let start = cut.bytes
    #expect(throws: ImageError.self) { try Self.plan(preamble: start) }
    SectionFooter(id: 3).encode(into: &cut)
    _ = try Self.plan(preamble: cut.bytes)
    #expect(throws: ImageError.self) { try Self.plan(preamble: cut.bytes.dropLast()) }
    var ram = ByteOutput()
    StreamElement.start(id: 9, .ram).encode(into: &ram)
    #expect(throws: ImageError.self) { try Self.plan(preamble: ram.bytes) }
  }

  /// The reader holds the sum of all blocks against its limit, and so does the writer.
  @Test func blocksOverTheLimitTogether() throws {
    let limit = ImageLimits.ramBytes
    let half = ByteCount(limit.rawValue / 2)
    let two = [try Self.block("a", usedLength: half), try Self.block("b", usedLength: half)]
    _ = try Self.plan(blocks: two)
    #expect(
      try Self.problem { try Self.plan(blocks: two + [Self.block("c", usedLength: 4096)]) }
        == .overLimit(.ramBytes, found: limit.rawValue + 4096, limit: limit.rawValue))
  }

  @Test func blocksThatTheConfigurationDoesNotAllow() throws {
    let bits = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram"]), .targetPageBits(16)])
    let pageSize = try #require(PageSize(byteCount: 1 << 16))
    _ = try Self.plan(bits, blocks: [Self.block(pageSize: pageSize)])
    #expect(
      try Self.problem { try Self.plan(bits) }
        == .pageSizeDiffers(found: .fourKiB, expected: pageSize))
    let blocks = [try Self.block(), try Self.block("shared", isIgnored: true)]
    #expect(
      try Self.problem { try Self.plan(blocks: blocks) } == .ignoredBlockWithoutCapability)
    let ignoring = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram", "x-ignore-shared"])])
    _ = try Self.plan(ignoring, blocks: blocks)
  }

  // MARK: Sums

  private static let gpu = DeviceIdentity("gpu")

  private static func section(_ byteCount: UInt64, _ index: UInt32 = 0) -> DeviceSource {
    DeviceSource(
      DeviceIdentity("gpu", instanceID: index), from: TestDevice([], announces: byteCount),
      placement: .section(version: 1))
  }

  /// A user's file may say that it has any number of bytes.
  @Test(arguments: [[.max], [.max >> 1], [.max >> 1, .max >> 1, 1 << 20]] as [[UInt64]])
  func sectionsThatNoFileCanHold(_ byteCounts: [UInt64]) throws {
    let devices = byteCounts.enumerated().map { Self.section($1, UInt32($0)) }
    #expect {
      try Self.plan().with(devices: devices)
    } throws: { error in
      guard case .plan(.deviceTooLong(let device, let found, _))? = error as? ImageError else {
        return false
      }
      return device.idstr == "gpu" && found == byteCounts[0]
    }
  }

  /// So may a manifest say where a device's buffers are.
  @Test(arguments: [1 << 62, .max - 4096, .max] as [UInt64]) func placesThatNoFileCanHave(
    _ end: UInt64
  ) throws {
    var device = DeviceSource(Self.gpu, from: TestDevice([]))
    device.fixedPlaces = DeviceSource.FixedPlaces(offsets: [end &- 1], end: end, longest: 1)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: .mappedRAM(machineType: "none")),
      blocks: [Self.block()], tail: [.bytes(TestGuest.tail)],
      streamOffset: FileOffset(UInt64(1) << 62), for: "made-up")
    #expect {
      try plan.with(devices: [device])
    } throws: { error in
      guard case .plan(.deviceTooLong(Self.gpu, _, _))? = error as? ImageError else { return false }
      return true
    }
  }

  /// A range that no file has is a size like any other.
  @Test func aTailThatNoFileHas() throws {
    let file = try File.inMemory(name: "tail", byteCount: 1)
    #expect {
      try SavePlan(
        prologue: StreamPrologue(configuration: .mappedRAM(machineType: "none")),
        blocks: [Self.block()], tail: [.file(file, 0..<FileOffset(.max))], for: "made-up")
    } throws: { error in
      guard case .format(let error, in: "made-up")? = error as? ImageError else { return false }
      return error.kind == .numberOverflow
    }
  }
}
