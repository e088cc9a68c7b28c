import Glibc
import TestSupport
import Testing

@testable import LinuxIO

@Suite struct SoftDirtyTests {
  /// What the kernel's own configuration says, where it is told.
  static let configured: Bool? = {
    guard
      let text = try? Subprocess.succeed(["sh", "-c", "zcat /proc/config.gz 2>/dev/null || true"])
        .text
    else { return nil }
    guard text.contains("CONFIG_PAGE_MONITOR=") || text.contains("CONFIG_PROC_PAGE_MONITOR=") else {
      return nil
    }
    return text.contains("CONFIG_MEM_SOFT_DIRTY=y")
  }()

  @Test(.enabled(if: configured != nil, "the kernel does not tell its configuration"))
  func theProbeAgreesWithTheKernelsConfiguration() throws {
    #expect(try SoftDirty.isAvailable() == Self.configured)
  }

  @Test func theProbeGivesTheSameAnswerEachTime() throws {
    let first = try SoftDirty.isAvailable()
    #expect(try SoftDirty.isAvailable() == first)
  }

  @Test func entriesAreReadAsTheManualSays() {
    #expect(!PageEntry(0).isPresent && !PageEntry(0).isSoftDirty && PageEntry(0).mayHaveChanged)
    #expect(PageEntry(1 << 63).isPresent && !PageEntry(1 << 63).mayHaveChanged)
    #expect(PageEntry(1 << 62).isPresent && !PageEntry(1 << 62).mayHaveChanged)
    #expect(PageEntry(1 << 63 | 1 << 55).mayHaveChanged && PageEntry(1 << 63 | 1 << 55).isSoftDirty)
    #expect(!PageEntry(~(1 << 55)).mayHaveChanged)
  }

  /// Pages that are not there count as changed, also where the kernel has no such bits.
  @Test func whatIsNotThereCountsAsChanged() throws {
    let size = Int(PageMap.pageBytes)
    let mapping = try Mapping(anonymousByteCount: 4 * size)
    let start = unsafe UInt64(UInt(bitPattern: mapping.baseAddress))
    unsafe mapping.withUnsafeMutableBytes { unsafe $0[2 * size] = 1 }
    let map = try PageMap(of: getpid())
    let all = start..<(start + UInt64(4 * size))
    let found = try #require(try map.nextSoftDirty(in: all))
    #expect(found.lowerBound == start && found.upperBound >= start + UInt64(2 * size))
    let last = start + UInt64(3 * size)..<start + UInt64(4 * size)
    #expect(try map.nextSoftDirty(in: last) == last)
    #expect(try map.nextSoftDirty(in: start..<start) == nil)
  }

  /// With the bits, what is cleared and not written to has not changed.
  @Test(.enabled(if: (try? SoftDirty.isAvailable()) == true, "this kernel has no soft-dirty bits"))
  func whatIsWrittenToAfterTheClearingHasChanged() throws {
    let process = try IdleProcess()
    let heap = try #require(try process.heap)
    let map = try PageMap(of: process.processID)
    let page = heap.lowerBound..<(heap.lowerBound + PageMap.pageBytes)
    let memory = ProcessMemory(of: process.processID)
    let byte: [UInt8] = [7]
    try unsafe byte.withUnsafeBytes { try unsafe memory.write(from: $0, to: page.lowerBound) }
    try SoftDirty.clear(process.processID)
    #expect(try map.nextSoftDirty(in: page) == nil)
    try unsafe byte.withUnsafeBytes { try unsafe memory.write(from: $0, to: page.lowerBound) }
    #expect(try map.nextSoftDirty(in: page) == page)
  }

  @Test func aProcessThatIsGoneIsAnError() {
    #expect(throws: SystemCallError.self) { try SoftDirty.clear(Int32.max) }
  }
}
