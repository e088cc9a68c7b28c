import MappedRAM
import MappedRAMFormat

/// The map of blocks as a picture.
///
/// Each block is a strip of cells, row after row: the darker the blue, the more pages are present. A red mark at a cell's foot:
/// slots there are stale, the darker the more.
enum PageMapSVG {
  static let columns = 256
  static let rowLimit = 32
  private static let cell = (width: 4, height: 10)
  private static let markHeight = 3
  private static let margin = 16
  private static let levels = 8
  private static let empty = "#f0f0f0"
  /// Lightest and darkest of each colour, as red, green, blue.
  private static let blue = ((198, 219, 239), (8, 48, 107))
  private static let red = ((252, 187, 161), (165, 15, 21))

  /// The whole picture.
  static func picture(of inspection: Inspection) -> String {
    var body = ""
    var top = margin + 20
    legend(at: top, to: &body)
    top += 40
    for (block, slots) in zip(inspection.image.blocks, inspection.slots) {
      guard let map = slots.map else { continue }
      strip(block, map.reduced(toCells: columns * rowLimit), from: &top, to: &body)
    }
    let width = 2 * margin + columns * cell.width
    let title = "Pages of \(inspection.image.path)"
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(top)" viewBox="0 0 \(width) \(top)" \
      font-family="sans-serif" font-size="12">
      <title>\(escaped(title))</title>
      <rect width="\(width)" height="\(top)" fill="#ffffff"/>
      <text x="\(margin)" y="\(margin + 8)" font-size="16">\(escaped(title))</text>
      \(body)</svg>

      """
  }

  private static func legend(at top: Int, to body: inout String) {
    var left = margin
    func entry(_ fill: String, _ text: String, _ width: Int) {
      body +=
        "<rect x=\"\(left)\" y=\"\(top)\" width=\"12\" height=\"12\" fill=\"\(fill)\" stroke=\"#888888\"/>"
        + "<text x=\"\(left + 18)\" y=\"\(top + 10)\">\(text)</text>\n"
      left += width
    }
    entry(empty, "no page present", 140)
    entry(colour(blue, 1), "few", 60)
    entry(colour(blue, levels), "all present", 110)
    entry(colour(red, levels), "stale slots: bytes that do not count", 260)
  }

  private static func strip(
    _ block: ImageBlock, _ map: PageMap, from top: inout Int, to body: inout String
  ) {
    let step = NumberText.bytes(UInt64(block.pageSize.bytes(inPages: map.pagesInCell)))
    let (present, stale) = map.cells.reduce((0, 0)) { ($0.0 + $1.present, $0.1 + $1.stale) }
    let stalePart = stale > 0 ? ", \(stale) stale" : ""
    let text =
      "\(block.idstr): \(NumberText.bytes(block.usedLength.rawValue)), \(present) of "
      + "\(NumberText.count(map.pageCount, "page")) present\(stalePart); a cell is "
      + "\(NumberText.count(map.pagesInCell, "page")) (\(step))"
    body += "<g><title>\(escaped(text))</title>\n"
    body += "<text x=\"\(margin)\" y=\"\(top + 10)\">\(escaped(text))</text>\n"
    top += 16
    let rows = stride(from: 0, to: map.cells.count, by: columns).map {
      map.cells[$0..<min($0 + columns, map.cells.count)]
    }
    for (index, row) in rows.enumerated() {
      let rowTop = top + index * cell.height
      // The frame of the cells that are.
      rectangle(0..<row.count, rowTop, cell.height, empty, to: &body)
      for (run, level) in runs(row, { self.level($0.present, of: $0.pages) }) {
        rectangle(run, rowTop, cell.height, colour(blue, level), to: &body)
      }
      for (run, level) in runs(row, { self.level($0.stale, of: $0.pages) }) {
        let markTop = rowTop + cell.height - markHeight
        rectangle(run, markTop, markHeight, colour(red, level), to: &body)
      }
    }
    body += "</g>\n"
    top += rows.count * cell.height + 14
  }

  /// 0 for nothing, `levels` for everything, else between.
  static func level(_ part: Int, of whole: Int) -> Int {
    if part == 0 { return 0 }
    return part == whole ? levels : 1 + part * (levels - 1) / whole
  }

  /// Stretches of cells of equal level, without those of level 0.
  private static func runs(
    _ row: ArraySlice<PageMap.Cell>, _ level: (PageMap.Cell) -> Int
  ) -> [(Range<Int>, Int)] {
    var result: [(Range<Int>, Int)] = []
    for (column, cell) in row.enumerated() {
      let level = level(cell)
      if let last = result.last, last.1 == level, last.0.upperBound == column {
        result[result.count - 1].0 = last.0.lowerBound..<column + 1
      } else if level > 0 {
        result.append((column..<column + 1, level))
      }
    }
    return result
  }

  private static func rectangle(
    _ columns: Range<Int>, _ top: Int, _ height: Int, _ fill: String, to body: inout String
  ) {
    body +=
      "<rect x=\"\(margin + columns.lowerBound * cell.width)\" y=\"\(top)\" "
      + "width=\"\(columns.count * cell.width)\" height=\"\(height)\" fill=\"\(fill)\"/>\n"
  }

  private typealias RGB = (Int, Int, Int)

  private static func colour(_ scale: (RGB, RGB), _ level: Int) -> String {
    func mix(_ from: Int, _ to: Int) -> String {
      HexText.byte(UInt8(clamping: from + (to - from) * (level - 1) / (levels - 1)))
    }
    let (light, dark) = scale
    return "#" + mix(light.0, dark.0) + mix(light.1, dark.1) + mix(light.2, dark.2)
  }

  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      // XML cannot have most control characters at all.
      case _ where scalar.value < 0x20 || scalar.value == 0x7f: result += "\u{fffd}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
