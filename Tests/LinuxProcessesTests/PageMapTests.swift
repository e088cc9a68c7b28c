import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@testable import LinuxProcesses

@Suite struct PageMapTests {
  private let page = PageMap.pageBytes

  /// A mapping of `count` pages without huge pages, of which `touched` were written.
  private func memory(_ count: Int, touched: [Int]) throws -> Mapping {
    let mapping = try Mapping(anonymousByteCount: count * Int(page))
    let result = unsafe madvise(mapping.baseAddress, mapping.byteCount, MADV_NOHUGEPAGE)
    try #require(result == 0)
    for index in touched { unsafe mapping.mutableBytes[index * Int(page)] = 1 }
    return mapping
  }

  private func runs(_ mapping: Mapping, _ pages: Range<Int>) throws -> [Range<Int>] {
    let map = try PageMap(of: getpid())
    let start = mapping.addresses.lowerBound
    var range = start + UInt64(pages.lowerBound) * page..<start + UInt64(pages.upperBound) * page
    var found: [Range<Int>] = []
    while let next = try map.nextPresent(in: range) {
      found.append(
        Int((next.lowerBound - start) / page)..<Int((next.upperBound - start) / page))
      range = next.upperBound..<range.upperBound
    }
    return found
  }

  @Test func onlyTouchedPagesArePresent() throws {
    let mapping = try memory(200, touched: [0, 40, 41, 199])
    #expect(try runs(mapping, 0..<200) == [0..<1, 40..<42, 199..<200])
    #expect(try runs(mapping, 1..<40).isEmpty)
    #expect(try runs(mapping, 41..<41).isEmpty)
    #expect(try runs(mapping, 41..<199) == [41..<42])
    #expect(try runs(memory(1, touched: []), 0..<1).isEmpty)
  }

  /// Reading a page that was never written makes it present, with the kernel's page of zeros: it is given, and does no harm.
  @Test func aPageThatWasOnlyReadIsPresent() throws {
    let mapping = try memory(3, touched: [])
    #expect(unsafe mapping.bytes[Int(page)] == 0)
    #expect(try runs(mapping, 0..<3) == [1..<2])
  }

  /// Runs over the border of what is read at once, on both sides of it, and far behind it.
  @Test func moreThanOneCallIsSearched() throws {
    let chunk = Int(PageMap.entriesAtOnce)
    let ends = [chunk - 1..<chunk, 2 * chunk - 1..<2 * chunk + 1, 5 * chunk..<7 * chunk]
    let mapping = try memory(20_000, touched: ends.flatMap { Array($0) } + [19_999])
    #expect(try runs(mapping, 0..<20_000) == ends + [19_999..<20_000])
  }

  /// Random pages: the runs are those of the pages that were touched, whatever the range.
  @Test func runsAreThoseOfTheTouchedPages() throws {
    var generator = SeededGenerator()
    let touched = Set((0..<400).map { _ in Int.random(in: 0..<1500, using: &generator) })
    let mapping = try memory(1500, touched: Array(touched))
    for _ in 0..<20 {
      let first = Int.random(in: 0..<1500, using: &generator)
      let range = first..<Int.random(in: first...1500, using: &generator)
      let found = try runs(mapping, range)
      #expect(Set(found.joined()) == touched.filter(range.contains))
      #expect(zip(found, found.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
    }
  }

  @Test func partsOfPagesAreCutToTheRange() throws {
    let mapping = try memory(4, touched: [1])
    let start = mapping.addresses.lowerBound
    let map = try PageMap(of: getpid())
    #expect(
      try map.nextPresent(in: start + 10..<start + page + 5) == start + page..<start + page + 5)
    #expect(
      try map.nextPresent(in: start + page + 5..<start + page + 6)
        == start + page + 5..<start + page + 6)
    #expect(try map.nextPresent(in: start + 10..<start + 11) == nil)
    #expect(try map.nextPresent(in: start + page + 5..<start + page + 5) == nil)
  }

  @Test(
    arguments: [
      UInt64.max - 1..<UInt64.max, 1 << 63..<UInt64.max, 1 << 60..<(1 << 60) + 1,
    ] as [Range<UInt64>])
  func addressesThatNoProcessHasAreAnError(range: Range<UInt64>) throws {
    let map = try PageMap(of: getpid())
    #expect(throws: SystemCallError.self) { try map.nextPresent(in: range) }
  }

  @Test func theMapOfAProcessThatHasEndedCannotTell() throws {
    let process = try IdleProcess()
    let map = try PageMap(of: process.processID)
    let heap = try #require(try process.heap)
    #expect(try map.nextPresent(in: heap) != nil)
    process.end()
    let error = #expect(throws: SystemCallError.self) { try map.nextPresent(in: heap) }
    #expect(error?.errno == .noSuchProcess)
    #expect(error?.advice == "The process has ended.")
  }
}
