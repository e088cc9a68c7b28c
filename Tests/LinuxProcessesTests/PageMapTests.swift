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

  private func runs(
    _ mapping: Mapping, _ pages: Range<Int>, by search: PageMap.Search = .scan, own: Bool = false
  ) throws -> [Range<Int>] {
    let map = try PageMap(of: getpid(), by: search)
    let start = mapping.addresses.lowerBound
    var range = start + UInt64(pages.lowerBound) * page..<start + UInt64(pages.upperBound) * page
    var found: [Range<Int>] = []
    while let next = try own ? map.nextOwn(in: range) : map.nextPresent(in: range) {
      found.append(
        Int((next.lowerBound - start) / page)..<Int((next.upperBound - start) / page))
      range = next.upperBound..<range.upperBound
    }
    return found
  }

  @Test(arguments: PageMap.Search.allCases)
  func onlyTouchedPagesArePresent(by search: PageMap.Search) throws {
    let mapping = try memory(200, touched: [0, 40, 41, 199])
    #expect(try runs(mapping, 0..<200, by: search) == [0..<1, 40..<42, 199..<200])
    #expect(try runs(mapping, 1..<40, by: search).isEmpty)
    #expect(try runs(mapping, 41..<41, by: search).isEmpty)
    #expect(try runs(mapping, 41..<199, by: search) == [41..<42])
    #expect(try runs(memory(1, touched: []), 0..<1, by: search).isEmpty)
  }

  /// Whether this kernel has PAGEMAP_SCAN.
  private static let canScan: Bool = {
    guard let map = try? PageMap(of: getpid()) else { return false }
    _ = try? map.nextPresent(in: 1 << 20..<2 << 20)
    return map.scans
  }()

  /// Reading a page that was never written maps the kernel's page of zeros. The kernel says that it is one; the entries do not, and it is
  /// given then, which does no harm.
  @Test(.enabled(if: canScan, "needs Linux 6.7"))
  func aPageThatWasOnlyReadIsZero() throws {
    let mapping = try memory(3, touched: [2])
    #expect(unsafe mapping.bytes[Int(page)] == 0)
    #expect(try runs(mapping, 0..<3) == [2..<3])
    #expect(try runs(mapping, 0..<3, by: .entries) == [1..<3])
  }

  /// The same where memory is made of huge pages: one read maps a huge page of zeros.
  @Test(.enabled(if: canScan, "needs Linux 6.7"))
  func aHugePageThatWasOnlyReadIsZero() throws {
    let mapping = try Mapping(anonymousByteCount: 8 << 20)
    let start = mapping.addresses.lowerBound
    let huge = Int((start + (2 << 20) - 1) & ~((2 << 20) - 1) - start)
    // A kernel without huge pages refuses it, and maps a small page.
    _ = unsafe madvise(mapping.baseAddress, mapping.byteCount, MADV_HUGEPAGE)
    #expect(unsafe mapping.bytes[huge] == 0)
    #expect(try runs(mapping, 0..<2048).isEmpty)
    unsafe mapping.mutableBytes[huge + (4 << 20)] = 1
    let found = try runs(mapping, 0..<2048)
    #expect(found.count == 1 && found[0].contains((huge + (4 << 20)) / Int(page)))
  }

  /// What is mapped by huge pages is found; it is not any more once it was split, and is again once it was collapsed, with its bytes.
  @Test(.enabled(if: canScan && !TransparentHugePages.areOff, "needs Linux 6.7 with huge pages"))
  func hugePagesAreSplitAndCollapsed() throws {
    let huge: UInt64 = 2 << 20
    let mapping = try Mapping(anonymousByteCount: 10 << 20)
    let start = mapping.addresses.lowerBound
    let first = (start + huge - 1) / huge * huge
    let pages = first..<first + 4 * huge
    let map = try PageMap(of: getpid())
    _ = unsafe madvise(mapping.baseAddress, mapping.byteCount, MADV_HUGEPAGE)
    #expect(try map.nextHuge(in: mapping.addresses) == nil)
    for index in 0..<UInt64(4 * 512) {
      unsafe mapping.mutableBytes[Int(first - start + index * page)] = UInt8(
        truncatingIfNeeded: index)
    }
    #expect(try map.nextHuge(in: pages) == pages)
    #expect(
      try map.nextHuge(in: first + huge + page..<pages.upperBound - page)
        == first + huge + page..<pages.upperBound - page)
    #expect(try PageMap(of: getpid(), by: .entries).nextHuge(in: pages) == nil)
    // Another protection of one page splits the huge page around it.
    let middle = unsafe mapping.baseAddress + Int(first - start + huge + 5 * page)
    #expect(unsafe mprotect(middle, Int(page), PROT_READ) == 0)
    #expect(unsafe mprotect(middle, Int(page), PROT_READ | PROT_WRITE) == 0)
    #expect(try map.nextHuge(in: pages) == first..<first + huge)
    #expect(
      try map.nextHuge(in: first + huge..<pages.upperBound) == first + 2 * huge..<pages.upperBound)
    try ProcessHandle(getpid()).collapse(first + huge..<first + 2 * huge)
    #expect(try map.nextHuge(in: pages) == pages)
    for index in 0..<UInt64(4 * 512) {
      #expect(
        unsafe mapping.bytes[Int(first - start + index * page)] == UInt8(truncatingIfNeeded: index))
    }
    let error = #expect(throws: SystemCallError.self) {
      try ProcessHandle(getpid()).collapse(1 << 46..<1 << 46 + huge)
    }
    #expect(error?.call == .process_madvise)
  }

  /// Of a private mapping of a file, the copies of pages that were written to are its own, those that were read are the file's.
  @Test(arguments: PageMap.Search.allCases)
  func copiesOfAFilesPagesAreOwn(by search: PageMap.Search) throws {
    let file = try File.inMemory(name: "file", byteCount: 100 * page)
    try file.write([1], at: 3 * page)
    let mapping = try Mapping(file, range: 0..<100 * page, mode: .privateWrite)
    for index in [0, 3, 4, 50] { #expect(unsafe mapping.bytes[index * Int(page)] <= 1) }
    for index in [4, 5, 99] { unsafe mapping.mutableBytes[index * Int(page)] = 7 }
    #expect(try runs(mapping, 0..<100, by: search, own: true) == [4..<6, 99..<100])
    #expect(try runs(mapping, 5..<99, by: search, own: true) == [5..<6])
    // The kernel may have mapped the neighbours of what was read as well.
    let present = Set(try runs(mapping, 0..<100, by: search).joined())
    #expect(present.isSuperset(of: [0, 3, 4, 5, 50, 99]))
    // Shared memory is nobody's own.
    let shared = try Mapping(file, range: 0..<100 * page, mode: .sharedWrite)
    unsafe shared.mutableBytes[0] = 1
    #expect(try runs(shared, 0..<100, by: search, own: true).isEmpty)
  }

  /// Runs over the border of what is read at once, on both sides of it, and far behind it.
  @Test func moreThanOneCallIsSearched() throws {
    let chunk = Int(PageMap.entriesAtOnce)
    let ends = [chunk - 1..<chunk, 2 * chunk - 1..<2 * chunk + 1, 5 * chunk..<7 * chunk]
    let mapping = try memory(20_000, touched: ends.flatMap { Array($0) } + [19_999])
    for search in PageMap.Search.allCases {
      #expect(try runs(mapping, 0..<20_000, by: search) == ends + [19_999..<20_000])
    }
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
      #expect(try runs(mapping, range, by: .entries) == found)
      #expect(Set(found.joined()) == touched.filter(range.contains))
      #expect(zip(found, found.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
    }
  }

  @Test(arguments: PageMap.Search.allCases)
  func partsOfPagesAreCutToTheRange(by search: PageMap.Search) throws {
    let mapping = try memory(4, touched: [1])
    let start = mapping.addresses.lowerBound
    let map = try PageMap(of: getpid(), by: search)
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
    ] as [Range<UInt64>], PageMap.Search.allCases)
  func addressesThatNoProcessHasAreAnError(range: Range<UInt64>, by search: PageMap.Search) throws {
    let map = try PageMap(of: getpid(), by: search)
    #expect(throws: SystemCallError.self) { try map.nextPresent(in: range) }
  }

  @Test(arguments: PageMap.Search.allCases)
  func theMapOfAProcessThatHasEndedCannotTell(by search: PageMap.Search) throws {
    let process = try IdleProcess()
    let map = try PageMap(of: process.processID, by: search)
    let heap = try #require(try process.heap)
    #expect(try map.nextPresent(in: heap) != nil)
    process.end()
    let error = #expect(throws: SystemCallError.self) { try map.nextPresent(in: heap) }
    #expect(error?.errno == .noSuchProcess)
    #expect(error?.advice == "The process has ended.")
  }
}
