import MappedRAMBench

/// A run as a picture: for each mixture and each thing that was done a group of bars, one for each row; a bar's length is its median
/// rate, and a thin line goes from its least to its greatest.
enum BenchChart {
  private static let margin = 24
  private static let labelWidth = 330
  private static let plotWidth = 560
  private static let valueWidth = 150
  private static let barHeight = 16
  private static let barGap = 6
  private static let colours: [BenchRow.Contestant: String] = [
    .mappedRAM: "#08519c", .qemu: "#e6772e", .fio: "#7f7f7f", .memory: "#b8b8b8",
  ]

  /// The picture of `rows`, under `title`.
  static func picture(_ rows: [BenchRow], title: String) -> String {
    var body = ""
    var top = margin + 24
    legend(rows, at: top, to: &body)
    top += 34
    for group in groups(rows) {
      draw(group, from: &top, to: &body)
      top += 18
    }
    let width = 2 * margin + labelWidth + plotWidth + valueWidth
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(top)" viewBox="0 0 \(width) \(top)" \
      font-family="sans-serif" font-size="12">
      <title>\(PageMapSVG.escaped(title))</title>
      <rect width="\(width)" height="\(top)" fill="#ffffff"/>
      <text x="\(margin)" y="\(margin + 4)" font-size="16">\(PageMapSVG.escaped(title))</text>
      \(body)</svg>

      """
  }

  /// Rows of the same mixture that do the same, or that bound it.
  private struct Group {
    var title: String
    var rows: [BenchRow]
    /// Whether bars are rates of memory that was looked at, because nothing was moved.
    var isOfRAM: Bool
  }

  private static func groups(_ rows: [BenchRow]) -> [Group] {
    var mixes: [String] = []
    for row in rows where !mixes.contains(row.key.mix) { mixes.append(row.key.mix) }
    var groups: [Group] = []
    for mix in mixes {
      for operation in BenchRow.Operation.allCases where operation != .map && operation != .start {
        let members = rows.filter {
          $0.key.mix == mix && $0.key.operation == operation && $0.ramBytes > 0
        }
        guard !members.isEmpty else { continue }
        let isOfRAM = members.allSatisfy { $0.bytes == 0 }
        groups.append(
          Group(
            title: "\(mix): \(operation.rawValue), GiB/s\(isOfRAM ? " of RAM" : "")",
            rows: isOfRAM ? members : members.filter { $0.bytes > 0 }, isOfRAM: isOfRAM))
      }
    }
    return groups
  }

  private static func legend(_ rows: [BenchRow], at top: Int, to body: inout String) {
    var left = margin
    for contestant in BenchRow.Contestant.allCases
    where rows.contains(where: { $0.key.contestant == contestant && $0.ramBytes > 0 }) {
      body +=
        "<rect x=\"\(left)\" y=\"\(top)\" width=\"12\" height=\"12\" fill=\"\(colour(contestant))\"/>"
        + "<text x=\"\(left + 18)\" y=\"\(top + 10)\">\(contestant.rawValue)</text>\n"
      left += 120
    }
    body +=
      "<text x=\"\(left)\" y=\"\(top + 10)\" fill=\"#555555\">bar: median; line: least to greatest</text>\n"
  }

  private static func colour(_ contestant: BenchRow.Contestant) -> String {
    colours[contestant] ?? "#000000"
  }

  private static func draw(_ group: Group, from top: inout Int, to body: inout String) {
    func rate(_ row: BenchRow) -> Spread { group.isOfRAM ? row.ramRate : row.rate }
    body += "<g><text x=\"\(margin)\" y=\"\(top + 12)\" font-weight=\"bold\">"
    body += "\(PageMapSVG.escaped(group.title))</text>\n"
    top += 22
    let greatest = group.rows.map { rate($0).greatest }.max() ?? 1
    let step = self.step(greatest / NumberText.gibibyte)
    let full = (greatest / NumberText.gibibyte / step).rounded(.up) * step
    func x(_ bytesPerSecond: Double) -> Double {
      Double(margin + labelWidth)
        + bytesPerSecond / NumberText.gibibyte / full * Double(plotWidth)
    }
    let bottom = top + group.rows.count * (barHeight + barGap)
    for tick in stride(from: 0, through: full + step / 2, by: step) {
      let place = text(x(tick * NumberText.gibibyte))
      body +=
        "<line x1=\"\(place)\" y1=\"\(top - 2)\" x2=\"\(place)\" y2=\"\(bottom)\" stroke=\"#dddddd\"/>"
        + "<text x=\"\(place)\" y=\"\(bottom + 12)\" text-anchor=\"middle\" font-size=\"10\" "
        + "fill=\"#555555\">\(tickText(tick, step))</text>\n"
    }
    for row in group.rows {
      bar(row, rate(row), x, at: top, to: &body)
      top += barHeight + barGap
    }
    top += 14
    body += "</g>\n"
  }

  private static func bar(
    _ row: BenchRow, _ rate: Spread, _ x: (Double) -> Double, at top: Int, to body: inout String
  ) {
    let start = x(0)
    let middle = text(Double(top) + Double(barHeight) / 2)
    let label = "\(row.key.contestant.rawValue) \(row.key.settingsText)"
    let (least, greatest) = (text(x(rate.least)), text(x(rate.greatest)))
    body +=
      "<text x=\"\(margin + labelWidth - 8)\" y=\"\(top + 12)\" text-anchor=\"end\">"
      + "\(PageMapSVG.escaped(label))</text>"
      + "<rect x=\"\(text(start))\" y=\"\(top)\" width=\"\(text(x(rate.median) - start))\" "
      + "height=\"\(barHeight)\" fill=\"\(colour(row.key.contestant))\"/>"
      + "<line x1=\"\(least)\" y1=\"\(middle)\" x2=\"\(greatest)\" y2=\"\(middle)\" stroke=\"#000000\"/>"
      + "<text x=\"\(text(x(rate.greatest) + 6))\" y=\"\(top + 12)\">"
      + "\(NumberText.significant(rate.median / NumberText.gibibyte))</text>\n"
  }

  /// 1, 2 or 5 times a power of ten, so that there are some five steps up to `greatest`.
  static func step(_ greatest: Double) -> Double {
    var step = 1e-6
    while step * 6 < greatest {
      for factor in [2, 2.5, 2] where step * 6 < greatest { step *= factor }
    }
    return step
  }

  /// With as many digits as the steps need.
  static func tickText(_ tick: Double, _ step: Double) -> String {
    var places = 0
    while places < 6, step * [1, 10, 100, 1000, 1e4, 1e5][places] < 0.999 { places += 1 }
    return NumberText.fixed(tick, places: places)
  }

  private static func text(_ place: Double) -> String { NumberText.fixed(place, places: 1) }
}
