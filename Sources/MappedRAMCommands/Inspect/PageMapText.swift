import MappedRAM
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

/// The map of blocks in characters.
enum PageMapText {
  /// From nothing to everything: the first and the last stand for just that.
  private static let shades = Array(" .:-=+*%#")
  /// More stale slots than present pages.
  private static let staleMark: Character = "o"
  /// The most lines of one block.
  static let lineLimit = 16
  static let legend = """
    Each character stands for a stretch of pages: blank, none present;
    . : - = + * %, ever more; #, all present; o, more stale slots than present pages
    (bytes that do not count). A star on a line of its own stands for lines like the
    one before.

    """

  /// Writes the map of each block that has slots, in lines of at most `width` columns.
  static func write(
    _ inspection: Inspection, width: Int, to output: (String) -> Void
  ) {
    output(legend)
    for (block, slots) in zip(inspection.image.blocks, inspection.slots) {
      guard let map = slots.map else { continue }
      write(block, map, width: width, to: output)
    }
  }

  static let differencesLegend = """
    Each character stands for a stretch of pages: blank, none differs; . : - = + * %,
    ever more; #, all differ. A star on a line of its own stands for lines like the one
    before.

    """

  /// Writes a map of the pages of the block `idstr` that differ, in lines of at most `width` columns.
  static func writeDifferences(
    _ pages: PageDifferences, of idstr: String, width: Int, to output: (String) -> Void
  ) {
    let pageSize = pages.pageSize
    let digits = String(pageSize.bytes(inPages: pages.pageCount) - 1, radix: 16).count
    let columns = columns(digits: digits, width: width)
    let map = PageMap(present: pages.pages, stale: nil, limit: columns * lineLimit)
    let step = NumberText.bytes(UInt64(pageSize.bytes(inPages: map.pagesInCell)))
    output(
      "\n\(idstr): a character is \(NumberText.count(map.pagesInCell, "page")) (\(step))\n")
    write(map, pageSize, columns: columns, digits: digits, to: output)
  }

  private static func columns(digits: Int, width: Int) -> Int {
    // "  0x", digits, " |" and "|"
    powerOfTwo(atMost: max(8, width - digits - 7))
  }

  private static func write(
    _ block: ImageBlock, _ whole: PageMap, width: Int, to output: (String) -> Void
  ) {
    let pageSize = block.pageSize
    let digits = String(block.usedLength.rawValue - 1, radix: 16).count
    let columns = columns(digits: digits, width: width)
    let map = whole.reduced(toCells: columns * lineLimit)
    let (present, stale) = map.cells.reduce((0, 0)) { ($0.0 + $1.present, $0.1 + $1.stale) }
    let step = NumberText.bytes(UInt64(pageSize.bytes(inPages: map.pagesInCell)))
    let stalePart = stale > 0 ? ", \(stale) stale" : ""
    output(
      "\n\(block.idstr): \(present) of \(NumberText.count(map.pageCount, "page")) present\(stalePart); a "
        + "character is \(NumberText.count(map.pagesInCell, "page")) (\(step))\n")
    write(map, pageSize, columns: columns, digits: digits, to: output)
  }

  /// Writes the cells of a map, line by line.
  private static func write(
    _ map: PageMap, _ pageSize: PageSize, columns: Int, digits: Int, to output: (String) -> Void
  ) {
    var before = ""
    var isRepeating = false
    for first in stride(from: 0, to: map.cells.count, by: columns) {
      let cells = map.cells[first..<min(first + columns, map.cells.count)]
      let line = String(cells.map(mark))
      if line == before {
        if !isRepeating { output("  *\n") }
        isRepeating = true
        continue
      }
      (before, isRepeating) = (line, false)
      let offset = String(pageSize.bytes(inPages: first * map.pagesInCell), radix: 16)
      let zeros = String(repeating: "0", count: digits - offset.count)
      output("  0x\(zeros)\(offset) |\(line)|\n")
    }
  }

  /// The character for a cell.
  static func mark(_ cell: PageMap.Cell) -> Character {
    if cell.stale > cell.present { return staleMark }
    if cell.present == 0 { return shades[0] }
    if cell.present == cell.pages { return shades[shades.count - 1] }
    return shades[1 + cell.present * (shades.count - 2) / cell.pages]
  }

  private static func powerOfTwo(atMost number: Int) -> Int {
    1 << (Int.bitWidth - 1 - number.leadingZeroBitCount)
  }
}
