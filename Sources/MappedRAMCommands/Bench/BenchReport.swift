import LinuxIO
import MappedRAM
import MappedRAMBench
import SystemPackage

/// What `mapped-ram bench` says at its end.
struct BenchReport: CommandReport {
  var directory: FilePath
  var guest: BenchGuest
  var seed: UInt64
  var rounds: Int
  var rows: [BenchRow]
  var notes: [BenchNote]
  var facts: BenchFacts
  /// What bounded the results, if that is wanted.
  var explanations: [BenchExplanation] = []
  /// What became of the rates of an older run.
  var comparison: BenchComparison?

  var text: String {
    var lines = [
      "\(directory): \(NumberText.bytes(guest.size.byteCount)) of RAM in \(guest.memory.rawValue) memory, seed "
        + "\(seed), \(NumberText.count(UInt64(rounds), "round")); every byte came back."
    ]
    lines += notes.map { "Note: \($0.text)" }
    return facts.text + lines.map { $0 + "\n" }.joined() + (comparison?.text ?? "")
  }

  var table: String {
    rowsTable + latenciesTable + ratiosTable + explanationsText
  }

  private var explanationsText: String {
    explanations.isEmpty ? "" : "\n" + explanations.map { $0.text + "\n" }.joined()
  }

  /// Behind an empty line; only for the requests of the engine itself.
  private var latenciesTable: String {
    var table = TextTable(
      [.text("mix"), .text("what"), .text("settings"), .text("requests' milliseconds")]
        + ["p50", "p90", "p99", "p99.9", "max", "count"].map { .number($0) })
    var isEmpty = true
    for row in rows {
      for (name, numbers) in [
        ("read", row.latencies.numbers.read), ("write", row.latencies.numbers.write),
      ] {
        guard let numbers else { continue }
        isEmpty = false
        let milliseconds = [numbers.p50, numbers.p90, numbers.p99, numbers.p999, numbers.max]
          .map { NumberText.significant(Double($0) / 1e6) }
        table.add(
          [row.key.mix, row.key.operation.rawValue, row.key.settingsText, name] + milliseconds
            + ["\(numbers.count)"])
      }
    }
    var text = "\n"
    table.write { text += $0 }
    return isEmpty ? "" : text
  }

  private var rowsTable: String {
    var text = ""
    let hasMixes = Set(rows.map(\.key.mix)).count > 1
    var table = TextTable(
      (hasMixes ? [.text("mix")] : [])
        + [.text("what"), .text("who"), .text("settings")]
        + [
          "seconds", "min", "max", "GiB/s", "RAM GiB/s", "CPU-s/GiB", "requests", "peak memory",
        ].map { .number($0) })
    for row in rows {
      table.add((hasMixes ? [row.key.mix] : []) + Self.cells(row))
    }
    table.write { text += $0 }
    return text
  }

  /// Behind an empty line; nothing without an opponent.
  private var ratiosTable: String {
    let ratios = BenchRatio.all(of: rows)
    guard rows.contains(where: { $0.key.contestant != .mappedRAM }), !ratios.isEmpty else {
      return ""
    }
    var table = TextTable([
      .text("mix"), .text("ratio"), .number("value"), .text("from"),
    ])
    for ratio in ratios {
      table.add([
        ratio.mix, ratio.what, NumberText.significant(ratio.value), ratio.terms,
      ])
    }
    var text = "\n"
    table.write { text += $0 }
    return text
  }

  private static func cells(_ row: BenchRow) -> [String] {
    let seconds = row.seconds
    return [
      row.key.operation.rawValue, row.key.contestant.rawValue, row.key.settingsText,
      NumberText.significant(seconds.median), NumberText.significant(seconds.least),
      NumberText.significant(seconds.greatest),
      row.bytes == 0 ? "-" : NumberText.significant(row.rate.median / NumberText.gibibyte),
      row.ramBytes == 0 ? "-" : NumberText.significant(row.ramRate.median / NumberText.gibibyte),
      row.cpuSecondsPerGiB.map { NumberText.significant($0.median) } ?? "-",
      row.samples.last?.requests.map { "\($0)" } ?? "-",
      row.peakMemoryBytes.map { NumberText.bytes($0) } ?? "-",
    ]
  }

  var json: BenchJSON { BenchJSON(self) }
}
