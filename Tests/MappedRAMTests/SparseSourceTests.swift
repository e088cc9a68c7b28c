import LinuxIO
import MappedRAMFormat
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Large memory of which little is there.
@Suite struct SparseSourceTests {
  /// 64 GiB without memory behind them, with some pages; it counts how often it is asked.
  private final class Sparse: PageSource, CopyingSource {
    let byteCount: UInt64 = 64 << 30
    let places: [UInt64]
    let questions = Atomic<Int>(0)

    init(_ places: [UInt64]) { self.places = places }

    var readAccess: SourceAccess { .copy(self) }

    func nextData(in range: Range<UInt64>) throws(SystemCallError) -> Range<UInt64>? {
      questions.add(1, ordering: .relaxed)
      return places.first(where: range.contains).map { $0..<min($0 + 4096, range.upperBound) }
    }

    func copy(
      into buffer: UnsafeMutableRawBufferPointer, from offset: UInt64
    ) throws(SystemCallError) {
      unsafe buffer.initializeMemory(as: UInt8.self, repeating: UInt8(offset >> 32) + 1)
    }
  }

  /// A gap is asked about once, not once for each of its extents, of which there are 65,536.
  @Test(arguments: [false, true])
  func aGapIsAskedAboutOnce(isLive: Bool) throws {
    let source = Sparse([0, 5 << 32, (5 << 32) + 4096, (16 << 32) - 4096])
    let test = try LiveSaveTests()
    let block = try RAMBlock(
      idstr: "ram", usedLength: ByteCount(source.byteCount), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: source)], tail: [.bytes(TestGuest.tail)], for: "plan")
    let report: TransferReport
    if isLive {
      var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
      try save.runRounds()
      report = try save.writePages(plan).finish()
    } else {
      report = try ImageSave(plan).run(to: test.path)
    }
    #expect(report.presentBytes == 4 * 4096)
    #expect(source.questions.load(ordering: .relaxed) < 200)
    var present: [Int] = []
    let file = try File.open(test.path, access: .read)
    _ = try Image(reading: file) { (block, bitmap) throws(ImageError) in
      present = bitmap.runs.flatMap(Array.init)
    }
    #expect(present == source.places.map { Int($0 / 4096) })
  }
}
