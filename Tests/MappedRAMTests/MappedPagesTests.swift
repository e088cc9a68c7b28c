import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Saves of a file in memory by its mapping: what is a hole takes no memory, before and after.
@Suite struct MappedPagesTests {
  static let pageCount = 1500

  /// Which pages are there.
  enum Pattern: CaseIterable {
    case none, first, last, everySecond, onePerMiB, runs, all

    func has(_ page: Int) -> Bool {
      switch self {
      case .none: false
      case .first: page == 0
      case .last: page == pageCount - 1
      case .everySecond: page % 2 == 1
      case .onePerMiB: page % 256 == 7
      case .runs: page / 100 % 3 == 1
      case .all: true
      }
    }
  }

  private func memory(_ pattern: Pattern) throws -> File {
    let file = try File.inMemory(name: "guest", byteCount: UInt64(Self.pageCount) * 4096)
    for page in 0..<Self.pageCount where pattern.has(page) {
      try file.write([UInt8(page & 127) + 1], at: UInt64(page) * 4096)
    }
    return file
  }

  private func plan(_ file: File) throws -> SavePlan {
    let byteCount = UInt64(Self.pageCount) * 4096
    let pages = try MappedPages(FilePages(file, startingAt: 0, byteCount: byteCount))
    let block = try RAMBlock(idstr: "ram", usedLength: ByteCount(byteCount), pageSize: .fourKiB)
    return try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: pages)], tail: [.bytes(TestGuest.tail)], for: "plan")
  }

  @Test(arguments: Pattern.allCases, LiveSaveTests.shapes)
  func aSaveFillsNoHole(_ pattern: Pattern, _ options: ChannelOptions) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a")
    let file = try memory(pattern)
    let before = try file.allocatedBytes()
    _ = try ImageSave(plan(file), options: options).run(to: path)
    #expect(try file.allocatedBytes() == before)
    let contents = try file.readBytes(at: 0, count: Self.pageCount * 4096)
    #expect(try restoreToMemory(path) == [contents])
  }

  @Test(arguments: Pattern.allCases)
  func aLiveSaveFillsNoHole(_ pattern: Pattern) throws {
    let test = try LiveSaveTests()
    let file = try memory(pattern)
    let plan = try plan(file)
    var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    try file.write([255], at: 800 * 4096)
    let before = try file.allocatedBytes()
    try save.runRounds()
    _ = try save.writePages(plan).finish()
    #expect(try file.allocatedBytes() == before)
    let contents = try file.readBytes(at: 0, count: Self.pageCount * 4096)
    #expect(try restoreToMemory(test.path) == [contents])
  }
}
