import Glibc
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// A save of one block, the whole of `pages`.
@discardableResult
func saveAlone(
  _ pages: any PageSource, to path: FilePath, options: ChannelOptions = .standard
) throws -> TransferReport {
  let block = try RAMBlock(
    idstr: "ram", usedLength: ByteCount(pages.byteCount), pageSize: .fourKiB)
  let plan = try SavePlan(
    prologue: StreamPrologue(configuration: TestGuest.configuration),
    blocks: [SavePlan.Block(block, pages: pages)], tail: [.bytes(TestGuest.tail)], for: path)
  return try ImageSave(plan, options: options).run(to: path)
}

extension Mapping {
  var allBytes: [UInt8] { unsafe withUnsafeBytes { unsafe Array($0) } }

  func put(_ bytes: [UInt8], at offset: Int) {
    unsafe withUnsafeMutableBytes { memory in
      for (index, byte) in bytes.enumerated() { unsafe memory[offset + index] = byte }
    }
  }
}

/// Blocks in a part of a file, as of a guest whose memory is shared.
@Suite struct FilePartTests {
  private let pageBytes = 4096

  /// A part is saved, from the begin, one page behind it, and in the middle; the holes stay holes.
  @Test(arguments: [0, 1, 300])
  func aPartOfAFileIsSaved(first: Int) throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let guest = try SharedGuest(
      count: 1200, touched: [0, 1, 2, 299, 300, 301, 700, 1199], using: &generator)
    let pages = try FilePages(
      guest.file, startingAt: UInt64(first * pageBytes),
      byteCount: UInt64((1200 - first) * pageBytes))
    #expect(!pages.startsZero)
    let report = try saveAlone(pages, to: directory.file("a"))
    #expect(try guest.allocatedPages() == 8)
    #expect(report.presentBytes == UInt64((first == 0 ? 8 : first == 1 ? 7 : 4) * pageBytes))
    let expected = Array(guest.mapping.allBytes[(first * pageBytes)...])
    #expect(try restoreToMemory(directory.file("a")) == [expected])
  }

  /// A part's last page is its last, whatever follows in the file.
  @Test func whatFollowsAPartIsNotSaved() throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let guest = try SharedGuest(count: 10, touched: Array(0..<10), using: &generator)
    let pages = try FilePages(
      guest.file, startingAt: UInt64(2 * pageBytes), byteCount: UInt64(3 * pageBytes))
    try saveAlone(pages, to: directory.file("a"))
    let expected = Array(guest.mapping.allBytes[2 * pageBytes..<5 * pageBytes])
    #expect(try restoreToMemory(directory.file("a")) == [expected])
  }

  @Test func dataIsCountedFromTheBlocksBegin() throws {
    var generator = SeededGenerator()
    let guest = try SharedGuest(count: 100, touched: [20, 21, 60, 95], using: &generator)
    let pages = try FilePages(
      guest.file, startingAt: UInt64(10 * pageBytes), byteCount: UInt64(80 * pageBytes))
    let end = pages.byteCount
    #expect(try pages.nextData(in: 0..<end) == UInt64(10 * pageBytes)..<end)
    #expect(try pages.nextData(in: UInt64(12 * pageBytes)..<end) == UInt64(50 * pageBytes)..<end)
    #expect(try pages.nextData(in: UInt64(51 * pageBytes)..<end) == nil)
    #expect(try pages.nextData(in: 0..<UInt64(10 * pageBytes)) == nil)
  }

  /// What lies before and behind the part keeps its bytes.
  @Test(arguments: [true, false])
  func aRestoreWritesItsPartAlone(startsZero: Bool) throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let source = try SharedGuest(count: 400, touched: [0, 256, 399], using: &generator)
    try saveAlone(
      try FilePages(source.file, startingAt: 0, byteCount: UInt64(400 * pageBytes)),
      to: directory.file("a"))
    let target = try SharedGuest(
      count: 402, touched: startsZero ? [0, 401] : Array(0..<402), using: &generator)
    // Not by the mapping, which would fill the holes.
    let before = try target.file.readBytes(at: 0, count: 402 * pageBytes)
    let pages = try FilePages(
      target.file, startingAt: UInt64(pageBytes), byteCount: UInt64(400 * pageBytes))
    #expect(pages.startsZero == startsZero)
    _ = try ImageRestore(try File.open(directory.file("a"), access: .read)).run { _ in pages }
    #expect(try target.allocatedPages() == (startsZero ? 5 : 402))
    let after = target.mapping.allBytes
    #expect(Array(after[pageBytes..<401 * pageBytes]) == source.mapping.allBytes)
    #expect(after[..<pageBytes] == before[..<pageBytes])
    #expect(after[(401 * pageBytes)...] == before[(401 * pageBytes)...])
  }

  /// What is past the file's end is no hole: reading it fails.
  @Test func aFileThatIsTooShortIsAnError() throws {
    let directory = try TemporaryDirectory()
    let file = try File.inMemory(name: "ram", byteCount: 4096)
    let pages = try FilePages(file, startingAt: 4096, byteCount: 4096)
    #expect(try pages.nextData(in: 0..<4096) == 0..<4096)
    #expect(throws: ImageError.self) { try saveAlone(pages, to: directory.file("a")) }
  }
}

/// Memory in a file, as of a guest that shares it.
private struct SharedGuest {
  let file: File
  let mapping: Mapping

  init(count: Int, touched: [Int], using generator: inout SeededGenerator) throws {
    file = try File.inMemory(name: "ram", byteCount: UInt64(count * 4096))
    mapping = try Mapping(file, range: 0..<UInt64(count * 4096), mode: .sharedWrite)
    for page in touched { mapping.put(generator.bytes(64), at: page * 4096 + 9) }
  }

  /// How many pages the file takes.
  func allocatedPages() throws -> Int {
    var found = stat()
    let result = unsafe fstat(file.bufferedDescriptor, &found)
    try #require(result == 0)
    return Int(found.st_blocks) * 512 / 4096
  }
}
