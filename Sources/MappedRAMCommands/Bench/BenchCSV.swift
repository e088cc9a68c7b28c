/// The samples of a run as comma-separated values (RFC 4180): a line for each, and one with the names of the columns.
enum BenchCSV {
  static let columns = [
    "mix", "operation", "contestant", "settings", "round", "ramBytes", "bytes", "seconds",
    "cpuSeconds", "qemuCPUSeconds", "peakMemoryBytes", "requests", "fileBytes", "pauseSeconds",
  ]

  static func document(_ rows: [BenchRow]) -> String {
    var lines = [columns.joined(separator: ",")]
    for row in rows {
      for (round, sample) in row.samples.enumerated() {
        let cells: [String] = [
          row.key.mix, row.key.operation.rawValue, row.key.contestant.rawValue, row.key.settings,
          "\(round + 1)", "\(row.ramBytes)", "\(row.bytes)", "\(sample.seconds)",
          text(sample.cpuSeconds), text(sample.qemuCPUSeconds), text(sample.peakMemoryBytes),
          text(sample.requests), text(sample.fileBytes), text(sample.pauseSeconds),
        ]
        lines.append(cells.map(quoted).joined(separator: ","))
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Nothing for what is not known.
  private static func text<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "" }

  private static func quoted(_ text: String) -> String {
    guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
    let doubled = text.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"")
    return "\"\(doubled)\""
  }
}
