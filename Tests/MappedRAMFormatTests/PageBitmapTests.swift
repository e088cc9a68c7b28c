import MappedRAMFormat
import TestSupport
import Testing

@Suite struct PageBitmapTests {
  /// The bitmap of the pages in `pages`.
  static func make(_ pageCount: Int, _ pages: some Sequence<Int>) -> PageBitmap {
    var bitmap = PageBitmap(pageCount: pageCount)
    for page in pages { bitmap[page] = true }
    return bitmap
  }

  /// The pages that are present, asked one by one.
  static func pages(_ bitmap: PageBitmap) -> Set<Int> {
    Set((0..<bitmap.pageCount).filter { bitmap[$0] })
  }

  @Test(arguments: [0, 1, 63, 64, 65, 127, 128, 129]) func hasAWordFor64Pages(_ count: Int) {
    let bitmap = PageBitmap(pageCount: count)
    #expect(bitmap.words.count == (count + 63) / 64)
    #expect(PageBitmap.wordCount(for: count) == bitmap.words.count)
    #expect(bitmap.population == 0)
    #expect(Self.pages(bitmap) == [])
  }

  @Test(arguments: [0, 62, 63, 64, 65, 127, 128]) func setsAndClearsOneBit(_ page: Int) {
    var bitmap = PageBitmap(pageCount: 129)
    bitmap[page] = true
    #expect(Self.pages(bitmap) == [page])
    #expect(bitmap.words[page / 64] == 1 << UInt64(page % 64))
    #expect(bitmap.population == 1)
    bitmap[page] = true
    #expect(bitmap.population == 1)
    bitmap[page] = false
    #expect(bitmap == PageBitmap(pageCount: 129))
  }

  @Test(arguments: [1, 32, 63, 64, 65, 96]) func bitsPastTheLastPageAreDropped(_ count: Int) {
    let words = [UInt64](repeating: .max, count: (count + 63) / 64)
    let bitmap = PageBitmap(pageCount: count, words: words)
    #expect(bitmap.population == count)
    #expect(bitmap == Self.make(count, 0..<count))
  }

  @Test func insertsAndCountsAllRangesAtWordEdges() {
    for count in [1, 63, 64, 65, 130] {
      let edges = [0, 1, 2, 31, 62, 63, 64, 65, 66, 127, 128, 129, 130].filter { $0 <= count }
      for first in edges {
        for end in edges where first <= end {
          var bitmap = PageBitmap(pageCount: count)
          bitmap.insert(first..<end)
          #expect(Self.pages(bitmap) == Set(first..<end), "\(first)..<\(end) of \(count)")
          #expect(bitmap.population(in: first..<end) == end - first)
          #expect(bitmap.population(in: 0..<first) == 0)
          #expect(bitmap.population(in: end..<count) == 0)
          #expect(bitmap.population == end - first)
        }
      }
    }
  }

  /// Every pair of bitmaps of up to 5 pages, against sets of numbers.
  @Test func setOperationsAreThoseOfSets() {
    var failures = 0
    for count in 0...5 {
      for left in 0..<(1 << count) {
        for right in 0..<(1 << count) {
          let first = PageBitmap(pageCount: count, words: count == 0 ? [] : [UInt64(left)])
          let second = PageBitmap(pageCount: count, words: count == 0 ? [] : [UInt64(right)])
          let (one, two) = (Self.pages(first), Self.pages(second))
          var (union, intersection, difference) = (first, first, first)
          union.formUnion(second)
          intersection.formIntersection(second)
          difference.subtract(second)
          if Self.pages(union) != one.union(two) { failures += 1 }
          if Self.pages(intersection) != one.intersection(two) { failures += 1 }
          if Self.pages(difference) != one.subtracting(two) { failures += 1 }
        }
      }
    }
    #expect(failures == 0)
  }

  @Test func bigBitmapsAgreeWithSets() {
    var random = SeededGenerator()
    for _ in 0..<100 {
      let count = Int.random(in: 1...400, using: &random)
      let one = Set((0..<count).filter { _ in Bool.random(using: &random) })
      let two = Set((0..<count).filter { _ in Int.random(in: 0..<9, using: &random) == 0 })
      let (first, second) = (Self.make(count, one), Self.make(count, two))
      var (union, intersection, difference) = (first, first, first)
      union.formUnion(second)
      intersection.formIntersection(second)
      difference.subtract(second)
      #expect(union == Self.make(count, one.union(two)))
      #expect(intersection == Self.make(count, one.intersection(two)))
      #expect(difference == Self.make(count, one.subtracting(two)))
      let end = Int.random(in: 0...count, using: &random)
      let start = Int.random(in: 0...end, using: &random)
      #expect(first.population(in: start..<end) == one.filter { (start..<end) ~= $0 }.count)
    }
  }

  @Test func pagesOutsideAreAProgrammersError() async {
    await #expect(processExitsWith: .failure) { _ = PageBitmap(pageCount: 64)[64] }
    await #expect(processExitsWith: .failure) { _ = PageBitmap(pageCount: 64)[-1] }
    await #expect(processExitsWith: .failure) {
      var bitmap = PageBitmap(pageCount: 65)
      bitmap.insert(0..<66)
    }
    await #expect(processExitsWith: .failure) {
      var bitmap = PageBitmap(pageCount: 65)
      bitmap.formUnion(PageBitmap(pageCount: 66))
    }
  }
}
