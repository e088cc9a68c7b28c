import LinuxIO
import MappedRAM
import MappedRAMBench
import SystemPackage

/// A run of bench as programs get it, and as `--compare` reads it again.
///
/// ```json
/// {
///   "command" : "bench",
///   "directory" : "/var/tmp",
///   "entropy" : 1,
///   "memory" : "private",
///   "notes" : [ ],
///   "ramBytes" : 1073741824,
///   "rounds" : 5,
///   "rows" : [ { … } ],
///   "schemaVersion" : 3,
///   "seed" : 3735928559,
///   "type" : "report",
///   "verified" : true
/// }
/// ```
struct BenchJSON: Codable, Equatable {
  var type = "report"
  var schemaVersion = 3
  var command = "bench"
  var directory: String
  var ramBytes: UInt64
  var entropy: Double
  var memory: String
  var seed: UInt64
  var rounds: Int
  /// Always true: without it there is no report.
  var verified = true
  var notes: [String]
  var machine: Machine
  var rows: [Row]
  var ratios: [Ratio]
  /// With `--explain`.
  var explanations: [Explanation]?
  /// With `--compare`.
  var comparison: [BenchComparison.Row]?

  /// The machine and what its kernel and file system offer.
  struct Machine: Codable, Equatable {
    var kernel: String
    var processor: String?
    var processors: Int
    var memoryBytes: UInt64
    /// The type of the directory's file system; `nil` where the mount table has it not.
    var fileSystem: String?
    var device: String?
    /// `active`, `refused` or `off`.
    var directIO: String
    /// Bytes; `nil` without direct I/O.
    var memoryAlignment: Int?
    var offsetAlignment: Int?
    /// Names of what io_uring can do; `nil` where there is none.
    var ringFeatures: [String]?
    /// Why there is no io_uring.
    var ringRefusal: String?

    init(_ facts: BenchFacts) {
      (kernel, processor, processors) = (facts.kernel, facts.processor, facts.processors)
      memoryBytes = facts.memoryBytes
      (fileSystem, device) = (facts.fileSystem, facts.device)
      directIO = facts.directIO.name
      if case .active(let memory, let offset) = facts.directIO {
        (memoryAlignment, offsetAlignment) = (memory, offset)
      }
      switch facts.ring {
      case .success(let features): ringFeatures = features
      case .failure(let error): ringRefusal = "\(error)"
      }
    }
  }

  /// What bounded a row: `disk`, `memory`, `cpu`, `request size`, `waiting`, `unknown`.
  struct Explanation: Codable, Equatable {
    var mix: String
    var operation: String
    var settings: String
    var bound: String
    var reason: String
  }

  /// Ours against another's.
  struct Ratio: Codable, Equatable {
    var mix: String
    var what: String
    var value: Double

    init(_ ratio: BenchRatio) { (mix, what, value) = (ratio.mix, ratio.what, ratio.value) }
  }

  /// One row; rates are in bytes a second, of the median.
  struct Row: Codable, Equatable {
    var mix: String
    var operation: String
    var contestant: String
    var settings: String
    var ramBytes: UInt64
    var bytes: UInt64
    var method: String?
    var directIO: String?
    var bytesPerSecond: Double
    var ramBytesPerSecond: Double
    var cpuSecondsPerGiB: Double?
    var peakMemoryBytes: UInt64?
    var seconds: Numbers
    /// How long requests took, in nanoseconds; of the engine's own guest alone.
    var readLatency: BenchLatencies.Numbers?
    var writeLatency: BenchLatencies.Numbers?
    /// The runs, as they were measured.
    var samples: [BenchSample]
  }

  /// Median and extremes.
  struct Numbers: Codable, Equatable {
    var median: Double
    var min: Double
    var max: Double

    init(_ spread: Spread) {
      (median, min, max) = (spread.median, spread.least, spread.greatest)
    }
  }

  init(_ report: BenchReport) {
    directory = report.directory.string
    ramBytes = report.guest.size.byteCount
    entropy = report.guest.entropy
    memory = report.guest.memory.rawValue
    seed = report.seed
    rounds = report.rounds
    notes = report.notes.map(\.text)
    machine = Machine(report.facts)
    rows = report.rows.map(Row.init)
    if !report.explanations.isEmpty {
      explanations = report.explanations.map {
        Explanation(
          mix: $0.mix, operation: $0.operation.rawValue,
          settings: $0.settings.text(with: $0.layout),
          bound: $0.bound.rawValue, reason: $0.reason.text)
      }
    }
    comparison = report.comparison?.rows
    ratios = BenchRatio.all(of: report.rows).map(Ratio.init)
  }
}

extension BenchJSON.Row {
  init(_ row: BenchRow) {
    self.init(
      mix: row.key.mix, operation: row.key.operation.rawValue,
      contestant: row.key.contestant.rawValue, settings: row.key.settingsText,
      ramBytes: row.ramBytes, bytes: row.bytes, method: row.method?.rawValue,
      directIO: row.directIO?.name, bytesPerSecond: row.rate.median,
      ramBytesPerSecond: row.ramRate.median, cpuSecondsPerGiB: row.cpuSecondsPerGiB?.median,
      peakMemoryBytes: row.peakMemoryBytes, seconds: BenchJSON.Numbers(row.seconds),
      readLatency: row.latencies.numbers.read, writeLatency: row.latencies.numbers.write,
      samples: row.samples)
  }
}
