import LinuxIO
import MappedRAM
import MappedRAMFormat
import TestSupport
import Testing

@testable import MappedRAMBench

@Suite struct SyntheticPatternTests {
  @Test func aRegularHalfInRunsOfAPageIsEverySecondPage() {
    let pattern = SyntheticPattern(
      byteCount: 1 << 20, zeroFraction: 0.5, zeroRunBytes: 4096, isRegular: true, seed: 1)
    for page in 0..<pattern.pageCount { #expect(pattern.isZero(page: page) == (page % 2 == 1)) }
    #expect(pattern.presentBytes == 1 << 19)
  }

  @Test(arguments: [0, 0.25, 0.6, 1], [false, true])
  func runsAreZeroAsAWholeAndAboutAsManyAsAskedFor(fraction: Double, isRegular: Bool) {
    let pattern = SyntheticPattern(
      byteCount: 4 << 30, zeroFraction: fraction, zeroRunBytes: 1 << 20, isRegular: isRegular,
      seed: SeededGenerator.seedOfRun)
    for page in stride(from: 0, to: pattern.pageCount, by: 256) {
      #expect(pattern.isZero(page: page) == pattern.isZero(page: page + 255))
    }
    let zeros = 1 - Double(pattern.presentBytes) / Double(pattern.byteCount)
    #expect(abs(zeros - fraction) < (isRegular ? 0.001 : 0.05))
  }

  @Test(arguments: [1, 15, 16, 17, 1000])
  func thePresentBytesAreThoseOfThePagesThatAreNotZero(pages: UInt64) {
    let pattern = SyntheticPattern(byteCount: pages * 4096, zeroFraction: 0.5, seed: 3)
    let count = (0..<pages).count { !pattern.isZero(page: $0) }
    #expect(pattern.presentBytes == UInt64(count) * 4096)
  }

  @Test(arguments: [0, 0.5, 1])
  func entropyIsThePartOfAPageThatIsRandom(entropy: Double) throws {
    let guest = try SyntheticGuest(
      SyntheticPattern(byteCount: 1 << 20, entropy: entropy, seed: 5))
    let pages = try MemoryPages(byteCount: 4096)
    // SAFETY: the buffer has room for a page.
    unsafe pages.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { unsafe guest.make(3, in: base) }
    }
    let bytes = pages.allBytes
    let words = stride(from: 16, to: 4096, by: 8).map { Array(bytes[$0..<$0 + 8]) }
    let distinct = Set(words).count
    #expect(abs(Double(distinct) / Double(words.count) - entropy) < 0.02)
  }

  @Test(arguments: [1, 255, 256, 257, 1000], [1, 2, 5])
  func memoryThatWasFilledIsRightUntilAByteChanges(pages: UInt64, threads: Int) throws {
    let guest = try SyntheticGuest(
      SyntheticPattern(
        byteCount: pages * 4096, zeroFraction: 0.5, zeroRunBytes: 4096,
        seed: SeededGenerator.seedOfRun))
    let memory = try MemoryPages(byteCount: Int(pages) * 4096)
    try guest.fill(memory, threads: threads)
    let check = try guest.check(memory, threads: threads)
    #expect(check.isGood && check.checkedPages == pages)
    let place = Int(pages) * 4096 - 1
    memory.put([memory.allBytes[place] ^ 1], at: place)
    let second = try guest.check(memory, threads: threads)
    #expect(!second.isGood && second.firstMismatch == pages - 1)
  }

  @Test func aFillThatIsCancelledSaysSo() throws {
    let guest = try SyntheticGuest(SyntheticPattern(byteCount: 8 << 20, seed: 1))
    let memory = try MemoryPages(byteCount: 8 << 20)
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: ImageError.cancelled) {
      try guest.fill(memory, threads: 2, cancellation: cancellation)
    }
  }
}
