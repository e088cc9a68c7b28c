import MappedRAMFormat
import TestSupport
import Testing

@testable import MappedRAMCommands

@Suite struct InspectPageMapTests {
  private func bitmap(_ pages: Int, _ present: Range<Int>...) -> PageBitmap {
    var bitmap = PageBitmap(pageCount: pages)
    for range in present { bitmap.insert(range) }
    return bitmap
  }

  @Test func countsThePagesOfEachCell() {
    let map = PageMap(
      present: bitmap(10, 0..<3, 7..<8), stale: bitmap(10, 4..<6, 9..<10), limit: 4)
    #expect(map.pageCount == 10)
    #expect(map.pagesInCell == 4)
    #expect(
      map.cells == [
        PageMap.Cell(pages: 4, present: 3, stale: 0), PageMap.Cell(pages: 4, present: 1, stale: 2),
        PageMap.Cell(pages: 2, present: 0, stale: 1),
      ])
  }

  @Test(arguments: [(1, 1), (4, 1), (5, 2), (8, 2), (9, 4), (16, 4), (17, 8)])
  func hasNoMoreCellsThanAllowed(_ pages: Int, _ pagesInCell: Int) {
    let map = PageMap(present: bitmap(pages, 0..<pages), stale: nil, limit: 4)
    #expect(map.pagesInCell == pagesInCell)
    #expect(map.cells.count <= 4)
    #expect(map.cells.reduce(0) { $0 + $1.pages } == pages)
    #expect(map.cells.allSatisfy { $0.present == $0.pages && $0.stale == 0 })
  }

  @Test func aReducedMapIsTheMapOfFewerCells() {
    var generator = SeededGenerator()
    for pages in [1, 63, 64, 65, 1000] {
      var present = PageBitmap(pageCount: pages)
      var stale = present
      for page in 0..<pages {
        switch generator.next() % 3 {
        case 0: present[page] = true
        case 1: stale[page] = true
        default: break
        }
      }
      let whole = PageMap(present: present, stale: stale, limit: 1024)
      for limit in [1, 2, 7, 16, 2000] {
        #expect(
          whole.reduced(toCells: limit)
            == PageMap(present: present, stale: stale, limit: min(limit, 1024)))
      }
    }
  }

  @Test func marksRiseWithTheShareThatIsPresent() {
    let marks = (0...16).map { PageMapText.mark(PageMap.Cell(pages: 16, present: $0, stale: 0)) }
    #expect(String(marks) == " ..::--===++**%%#")
  }

  @Test func onlyNothingIsBlankAndOnlyEverythingIsFull() {
    let pages = 1 << 20
    #expect(PageMapText.mark(PageMap.Cell(pages: pages, present: 1, stale: 0)) == ".")
    #expect(PageMapText.mark(PageMap.Cell(pages: pages, present: pages - 1, stale: 0)) == "%")
  }

  @Test(arguments: [(0, 1, "o"), (3, 3, "-"), (3, 4, "o"), (8, 0, "#")])
  func staleSlotsShowWhereTheyAreMore(_ present: Int, _ stale: Int, _ mark: Character) {
    #expect(PageMapText.mark(PageMap.Cell(pages: 8, present: present, stale: stale)) == mark)
  }

  @Test(arguments: [(0, 0), (1, 1), (1 << 19, 4), ((1 << 20) - 1, 7), (1 << 20, 8)])
  func pictureLevelsAreZeroForNothingAndEightForAll(_ part: Int, _ level: Int) {
    #expect(PageMapSVG.level(part, of: 1 << 20) == level)
  }

  @Test func runsAreCutAtTheLimitAndSaySo() {
    let pages = 2 * RunList.limit + 2
    var many = PageBitmap(pageCount: pages)
    for page in stride(from: 0, to: 2 * RunList.limit, by: 2) { many[page] = true }
    let whole = RunList(many)
    #expect(whole.runs.count == RunList.limit && !whole.isCut)
    #expect(whole.runs.first == [0, 1] && whole.runs.last == [2 * RunList.limit - 2, 1])
    many[pages - 1] = true
    let cut = RunList(many)
    #expect(cut.runs == whole.runs && cut.isCut)
  }
}
