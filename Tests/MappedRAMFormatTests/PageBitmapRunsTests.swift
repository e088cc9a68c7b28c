import MappedRAMFormat
import TestSupport
import Testing

@Suite struct PageBitmapRunsTests {
  /// What is wrong with `runs` as the runs of `bitmap` in `range`, or `nil`.
  private func fault(_ runs: [Range<Int>], of bitmap: PageBitmap, in range: Range<Int>) -> String? {
    var covered: Set<Int> = []
    var end = range.lowerBound - 1
    for run in runs {
      if run.isEmpty { return "empty run \(run)" }
      if run.lowerBound <= end { return "run \(run) touches the one before" }
      covered.formUnion(run)
      end = run.upperBound
    }
    if end > range.upperBound { return "a run past \(range)" }
    let expected = PageBitmapTests.pages(bitmap).intersection(range)
    return covered == expected ? nil : "\(covered.sorted()) in place of \(expected.sorted())"
  }

  /// All bitmaps of up to 12 pages.
  @Test(arguments: 0...12) func coverEachSetBitOnce(_ count: Int) {
    for bits in 0..<(1 << count) {
      let bitmap = PageBitmap(pageCount: count, words: count == 0 ? [] : [UInt64(bits)])
      if let fault = fault(Array(bitmap.runs), of: bitmap, in: 0..<count) {
        Issue.record("\(count) pages, \(String(bits, radix: 2)): \(fault)")
        return
      }
    }
  }

  /// All ranges of all bitmaps of up to 7 pages.
  @Test(arguments: 0...7) func coverEachSetBitOfARangeOnce(_ count: Int) {
    for bits in 0..<(1 << count) {
      let bitmap = PageBitmap(pageCount: count, words: count == 0 ? [] : [UInt64(bits)])
      for end in 0...count {
        for start in 0...end {
          let runs = Array(bitmap.runs(in: start..<end))
          if let fault = fault(runs, of: bitmap, in: start..<end) {
            Issue.record("\(count) pages, \(String(bits, radix: 2)), \(start)..<\(end): \(fault)")
            return
          }
        }
      }
    }
  }

  @Test(arguments: [1, 62, 63, 64, 65, 127, 128, 129, 1000]) func fullBitmapIsOneRun(_ count: Int) {
    var bitmap = PageBitmap(pageCount: count)
    #expect(Array(bitmap.runs) == [])
    bitmap.insert(0..<count)
    #expect(Array(bitmap.runs) == [0..<count])
    #expect(Array(bitmap.runs(in: 0..<0)) == [])
    #expect(Array(bitmap.runs(in: count..<count)) == [])
    #expect(Array(bitmap.runs(in: count - 1..<count)) == [count - 1..<count])
  }

  @Test(arguments: [(62, 64), (63, 64), (63, 65), (64, 65), (64, 128), (1, 127)])
  func runsAcrossWordsStayWhole(_ first: Int, _ end: Int) {
    var bitmap = PageBitmap(pageCount: 200)
    bitmap.insert(first..<end)
    #expect(Array(bitmap.runs) == [first..<end])
    bitmap[150] = true
    #expect(Array(bitmap.runs) == [first..<end, 150..<151])
    #expect(Array(bitmap.runs(in: first + 1..<150)) == (first + 1 < end ? [first + 1..<end] : []))
  }

  @Test func runsOfBigBitmapsCoverEachSetBitOnce() {
    var random = SeededGenerator()
    for _ in 0..<200 {
      let count = Int.random(in: 1...500, using: &random)
      var bitmap = PageBitmap(pageCount: count)
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        let start = Int.random(in: 0..<count, using: &random)
        bitmap.insert(start..<Int.random(in: start...count, using: &random))
      }
      let end = Int.random(in: 0...count, using: &random)
      let start = Int.random(in: 0...end, using: &random)
      #expect(fault(Array(bitmap.runs(in: start..<end)), of: bitmap, in: start..<end) == nil)
      #expect(bitmap.runs.reduce(0) { $0 + $1.count } == bitmap.population)
    }
  }
}
