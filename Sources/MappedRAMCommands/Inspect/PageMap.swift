import MappedRAMFormat

/// How much of each stretch of a block is present, in cells of equal size.
struct PageMap: Equatable, Sendable {
  /// Pages in the block.
  var pageCount: Int
  /// Pages in each cell but the last, which may have fewer; a power of two.
  var pagesInCell: Int
  /// The cells, first pages first.
  var cells: [Cell]

  /// One stretch of pages.
  struct Cell: Equatable, Sendable {
    /// Pages that the block has here.
    var pages: Int
    /// Pages present.
    var present: Int
    /// Absent pages whose slot takes space in the file.
    var stale: Int
  }

  /// The most cells that are kept: enough for every picture that is made of them.
  static let limit = 1 << 14

  /// The map of a block.
  ///
  /// - Parameter stale: `nil` where it is not known.
  init(present: PageBitmap, stale: PageBitmap?, limit: Int = Self.limit) {
    pageCount = present.pageCount
    pagesInCell = Self.cellSize(pages: pageCount, cells: limit)
    let size = pagesInCell
    cells = stride(from: 0, to: pageCount, by: size).map { first in
      let range = first..<min(first + size, present.pageCount)
      return Cell(
        pages: range.count, present: present.population(in: range),
        stale: stale?.population(in: range) ?? 0)
    }
  }

  /// The smallest power of two with which `pages` fit into so many cells.
  private static func cellSize(pages: Int, cells: Int) -> Int {
    precondition(cells > 0, "a map has cells")
    var size = 1
    while (pages + size - 1) / size > cells { size *= 2 }
    return size
  }

  /// The same map with at most `limit` cells.
  func reduced(toCells limit: Int) -> PageMap {
    let factor = max(1, Self.cellSize(pages: pageCount, cells: limit) / pagesInCell)
    guard factor > 1 else { return self }
    var map = self
    map.pagesInCell *= factor
    map.cells = stride(from: 0, to: cells.count, by: factor).map { first in
      cells[first..<min(first + factor, cells.count)].reduce(Cell(pages: 0, present: 0, stale: 0)) {
        Cell(
          pages: $0.pages + $1.pages, present: $0.present + $1.present, stale: $0.stale + $1.stale)
      }
    }
    return map
  }
}
