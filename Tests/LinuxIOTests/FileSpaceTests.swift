import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FileSpaceTests {
  let directory: TemporaryDirectory
  let file: File

  init() throws {
    directory = try TemporaryDirectory()
    let path = directory.file("a")
    try makeFile(path, [])
    file = try File.open(path, access: .readWrite)
  }

  @Test func truncateLengthensWithAHoleAndCuts() throws {
    #expect(try file.size() == 0)
    try file.truncate(to: 1 << 30)
    #expect(try file.size() == 1 << 30)
    #expect(try file.allocatedBytes() == 0)
    try file.truncate(to: 1)
    #expect(try contents(file.path) == [0])
  }

  @Test func sizesPastTheSignedLimitAreErrors() throws {
    let error = #expect(throws: SystemCallError.self) { try file.truncate(to: UInt64.max) }
    #expect(error == SystemCallError(call: .ftruncate, errno: .overflow, subject: .file(file.path)))
  }

  @Test func aHoleReadsAsZerosAndKeepsTheSize() throws {
    let block = 65536
    try file.write([UInt8](repeating: 1, count: 3 * block), at: 0)
    try file.syncData()
    let before = try file.allocatedBytes()
    try file.punchHole(UInt64(block)..<UInt64(2 * block))
    try file.punchHole(1..<3)
    try file.punchHole(100..<100)
    try file.syncData()
    #expect(try file.size() == UInt64(3 * block))
    #expect(try file.allocatedBytes() == before - UInt64(block))
    var expected = [UInt8](repeating: 1, count: 3 * block)
    expected.replaceSubrange(block..<2 * block, with: [UInt8](repeating: 0, count: block))
    expected.replaceSubrange(1..<3, with: [0, 0])
    #expect(try contents(file.path) == expected)
  }

  /// Data at 64 to 128 KiB and at 192 to 256 KiB of a file of 320 KiB.
  @Test(
    arguments: [
      (0..<5, 1..<2), (0..<1, nil), (0..<2, 1..<2), (1..<2, 1..<2), (2..<3, nil), (2..<5, 3..<4),
      (4..<5, nil), (5..<6, nil), (6..<9, nil), (3..<9, 3..<4), (1..<1, nil),
    ] as [(Range<UInt64>, Range<UInt64>?)])
  func nextDataIsTheFirstPartThatIsNoHole(range: Range<UInt64>, expected: Range<UInt64>?) throws {
    let block: UInt64 = 65536
    try makeSparse(block)
    let found = try file.nextData(in: range.lowerBound * block..<range.upperBound * block)
    #expect(found == expected.map { $0.lowerBound * block..<$0.upperBound * block })
  }

  @Test func nextDataIsCutToBytesOfTheRange() throws {
    let block: UInt64 = 65536
    try makeSparse(block)
    #expect(try file.nextData(in: block + 1..<block + 2) == block + 1..<block + 2)
    #expect(try file.nextData(in: 2 * block - 1..<5 * block) == 2 * block - 1..<2 * block)
    #expect(try file.nextData(in: 1..<block + 1) == block..<block + 1)
    #expect(try file.nextData(in: 1..<block) == nil)
    #expect(try file.nextData(in: 4 * block..<UInt64(Int64.max)) == nil)
  }

  @Test func anEmptyFileHasNoData() throws {
    #expect(try file.nextData(in: 0..<100) == nil)
    #expect(try file.nextDataStart(in: 0..<100) == nil)
  }

  /// In the same file as above.
  @Test(
    arguments: [
      (0..<5, 1), (0..<1, nil), (0..<2, 1), (1..<2, 1), (2..<3, nil), (2..<5, 3), (4..<5, nil),
      (5..<6, nil), (6..<9, nil), (3..<9, 3), (1..<1, nil),
    ] as [(Range<UInt64>, UInt64?)])
  func nextDataStartIsWhereNextDataBegins(range: Range<UInt64>, expected: UInt64?) throws {
    let block: UInt64 = 65536
    try makeSparse(block)
    let found = try file.nextDataStart(in: range.lowerBound * block..<range.upperBound * block)
    #expect(found == expected.map { $0 * block })
  }

  @Test func nextDataStartIsCutToBytesOfTheRange() throws {
    let block: UInt64 = 65536
    try makeSparse(block)
    #expect(try file.nextDataStart(in: block + 1..<block + 2) == block + 1)
    #expect(try file.nextDataStart(in: 2 * block - 1..<5 * block) == 2 * block - 1)
    #expect(try file.nextDataStart(in: 1..<block + 1) == block)
    #expect(try file.nextDataStart(in: 1..<block) == nil)
    #expect(try file.nextDataStart(in: 4 * block..<UInt64(Int64.max)) == nil)
    #expect(throws: SystemCallError.self) {
      try file.nextDataStart(in: UInt64(Int64.max) + 1..<UInt64.max)
    }
  }

  /// Of memory, as of a guest that shares it.
  @Test func nextDataStartSeesTheHolesOfMemory() throws {
    let memory = try File.inMemory(name: "ram", byteCount: 1 << 20)
    #expect(try memory.nextDataStart(in: 0..<1 << 20) == nil)
    try memory.write([1], at: 500_000)
    let page: UInt64 = 500_000 / 4096 * 4096
    #expect(try memory.nextDataStart(in: 0..<1 << 20) == page)
    #expect(try memory.nextDataStart(in: 0..<page) == nil)
    #expect(try memory.nextDataStart(in: page + 4096..<1 << 20) == nil)
  }

  /// Walking over a random sparse file meets every byte that was written.
  @Test func nextDataMissesNothing() throws {
    var generator = SeededGenerator()
    var written: [Range<UInt64>] = []
    try file.truncate(to: 8 << 20)
    for _ in 0..<20 {
      let offset = UInt64.random(in: 0..<(8 << 20) - 10_000, using: &generator)
      let count = Int.random(in: 1...10_000, using: &generator)
      try file.write([UInt8](repeating: 255, count: count), at: offset)
      written.append(offset..<offset + UInt64(count))
    }
    var parts: [Range<UInt64>] = []
    var at: UInt64 = 0
    while let part = try file.nextData(in: at..<8 << 20) {
      try #require(part.lowerBound >= at && !part.isEmpty)
      parts.append(part)
      at = part.upperBound
    }
    for range in written {
      let isCovered = parts.contains {
        $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound
      }
      #expect(isCovered, "\(range) is not in \(parts)")
    }
    #expect(parts.reduce(0) { $0 + $1.count } < 2 << 20)
  }

  private func makeSparse(_ block: UInt64) throws {
    try file.truncate(to: 5 * block)
    for at in [block, 3 * block] {
      try file.write([UInt8](repeating: 1, count: Int(block)), at: at)
    }
  }
}
