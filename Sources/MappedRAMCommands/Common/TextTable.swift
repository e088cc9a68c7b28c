/// Rows in columns that line up.
enum TextTable {
  /// The rows as lines: the first column flush left, the others flush right, two spaces between.
  ///
  /// - Precondition: each row has as many cells as the first.
  static func text(_ rows: [[String]]) -> String {
    guard let columns = rows.first?.count else { return "" }
    precondition(rows.allSatisfy { $0.count == columns }, "a cell for each column")
    let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + padding : padding + cell
      }
      return cells.joined(separator: "  ") + "\n"
    }.joined()
  }
}
