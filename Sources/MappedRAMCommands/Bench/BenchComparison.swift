import FoundationEssentials
import LinuxIO
import MappedRAM
import MappedRAMBench
import SystemPackage

/// A run against an older one: which rates fell.
struct BenchComparison: Equatable {
  /// The rows of both, in this run's order.
  var rows: [Row]
  /// A rate below this part of the old one is a fall.
  var limit: Double

  /// A row that both runs have.
  struct Row: Codable, Equatable {
    var mix: String
    var operation: String
    var contestant: String
    var settings: String
    /// The old median rate in bytes a second, or for what moves nothing 1 / median time.
    var oldRate: Double
    var newRate: Double
    /// The new one as a part of the old one.
    var ratio: Double
  }

  /// Rows whose rate fell below the limit.
  var falls: [Row] { rows.filter { $0.ratio < limit } }

  /// Compares `new` with `old`.
  ///
  /// - Throws: `incomparable` with every difference that keeps the two from being compared.
  init(_ new: BenchJSON, with old: BenchJSON, at path: FilePath, limit: Double)
    throws(CommandError)
  {
    self.limit = limit
    try Self.require(new, comparableWith: old, at: path)
    rows = []
    for row in new.rows {
      guard let other = old.rows.first(where: { $0.isSame(as: row) }) else { continue }
      let (newRate, oldRate) = (Self.rate(row), Self.rate(other))
      rows.append(
        Row(
          mix: row.mix, operation: row.operation, contestant: row.contestant,
          settings: row.settings, oldRate: oldRate, newRate: newRate, ratio: newRate / oldRate))
    }
    if rows.isEmpty {
      throw .incomparable(
        path, [.init(what: "rows", old: "\(old.rows.count)", new: "none of them the same")])
    }
  }

  /// Something that keeps two runs from being compared.
  struct Difference: Equatable, Sendable {
    var what: String
    var old: String
    var new: String
  }

  /// Looks whether two runs are of the same guest and machine; their rows do not matter.
  ///
  /// - Throws: `incomparable`.
  static func require(
    _ new: BenchJSON, comparableWith old: BenchJSON, at path: FilePath
  ) throws(CommandError) {
    let differences = Self.differences(new, old)
    guard differences.isEmpty else { throw .incomparable(path, differences) }
  }

  private static func differences(_ new: BenchJSON, _ old: BenchJSON) -> [Difference] {
    let pairs: [(String, String, String)] = [
      ("schemaVersion", "\(old.schemaVersion)", "\(new.schemaVersion)"),
      ("guest's memory", NumberText.bytes(old.ramBytes), NumberText.bytes(new.ramBytes)),
      ("entropy", "\(old.entropy)", "\(new.entropy)"),
      ("kind of memory", old.memory, new.memory),
      ("processors", "\(old.machine.processors)", "\(new.machine.processors)"),
      ("processor", old.machine.processor ?? "-", new.machine.processor ?? "-"),
      ("file system", old.machine.fileSystem ?? "-", new.machine.fileSystem ?? "-"),
      ("direct I/O", old.machine.directIO, new.machine.directIO),
    ]
    return pairs.filter { $0.1 != $0.2 }.map { Difference(what: $0.0, old: $0.1, new: $0.2) }
  }

  private static func rate(_ row: BenchJSON.Row) -> Double {
    let bytes = Double(max(row.bytes, row.ramBytes, 1))
    return bytes / max(row.seconds.median, 1e-9)
  }

  /// Reads what an older run wrote with `--json`.
  ///
  /// - Throws: `notABench` where it is something else.
  static func read(_ path: FilePath) throws(CommandError) -> BenchJSON {
    let bytes: [UInt8]
    do throws(SystemCallError) {
      let file = try File.open(path, access: .read, directIO: .off)
      // Far more than any run makes.
      bytes = try file.readBytes(at: 0, count: Int(min(try file.size(), 256 << 20)))
    } catch {
      throw .image(.system(error), output: nil)
    }
    guard let report = try? JSONDecoder().decode(BenchJSON.self, from: Data(bytes)),
      report.command == "bench"
    else { throw .notABench(path) }
    return report
  }

  /// A line for each fall, and one on all.
  var text: String {
    let falls = falls
    let limit = NumberText.significant(limit)
    var lines = falls.map { row in
      "\(row.mix) \(row.operation) \(row.contestant) \(row.settings): "
        + "\(NumberText.significant(row.ratio)) of the old rate, below \(limit)."
    }
    lines.append(
      "\(NumberText.count(UInt64(rows.count), "row")) compared, \(falls.count) below \(limit) of the old rate."
    )
    return lines.map { $0 + "\n" }.joined()
  }
}

extension BenchJSON.Row {
  fileprivate func isSame(as other: BenchJSON.Row) -> Bool {
    mix == other.mix && operation == other.operation && contestant == other.contestant
      && settings == other.settings
  }
}
