import Histogram
import MappedRAM

/// What bounded a result, as far as the run's own measurements tell.
struct BenchExplanation: Equatable, Sendable {
  var mix: String
  var operation: BenchRow.Operation
  var settings: String
  var bound: Bound
  /// The measurements from which that follows.
  var reason: String

  /// What a result can be bounded by.
  enum Bound: String, Sendable {
    case disk, memory, cpu, requestSize = "request size", waiting, unknown
  }

  /// One for each row of the engine.
  static func all(of rows: [BenchRow], processors: Int) -> [BenchExplanation] {
    rows.filter { row in
      // A restore of nothing is bounded by nothing.
      row.key.contestant == .mappedRAM && (row.bytes > 0 || row.key.operation == .save)
        && [.save, .restore, .toDirectory, .fromDirectory].contains(row.key.operation)
    }.map { row in
      BenchExplanation(row, among: rows.filter { $0.key.mix == row.key.mix }, processors)
    }
  }

  private init(_ row: BenchRow, among others: [BenchRow], _ processors: Int) {
    mix = row.key.mix
    operation = row.key.operation
    settings = row.key.settings
    let facts = Facts(row, others, processors)
    (bound, reason) = facts.conclusion
  }

  /// The numbers that conclusions are drawn from.
  private struct Facts {
    /// Processors busy on average, of those that the channels can keep busy.
    var busy: Double
    var usable: Double
    /// Of fio's rate, and of the rate of memory, in the same run.
    var ofDisk: Double?
    var ofMemory: Double?
    /// Mean bytes of a request that reached the file.
    var requestBytes: Double?
    /// The file's rate, bytes a second.
    var fileRate: Double

    init(_ row: BenchRow, _ others: [BenchRow], _ processors: Int) {
      let seconds = row.seconds.median
      let cpu = Spread(row.samples.map { $0.allCPUSeconds ?? 0 }).median
      busy = cpu / max(seconds, 1e-9)
      // Copies into another process's memory, and the disk's completions, are work of the same threads.
      usable = Double(processors)
      // Into and out of a directory, each byte is read from the disk and written to it.
      let operation = row.key.operation.isBetweenFiles ? .copy : row.key.operation
      func best(_ operation: BenchRow.Operation, _ who: BenchRow.Contestant) -> Double? {
        others.filter { $0.key.operation == operation && $0.key.contestant == who && $0.bytes > 0 }
          .map(\.rate.median).max()
      }
      fileRate = row.rate.median
      ofDisk = row.bytes > 0 ? best(operation, .fio).map { row.rate.median / $0 } : nil
      let memory: Double? =
        switch operation {
        case .save: best(.memoryRead, .memory)
        case .restore: best(.memoryTouch, .memory)
        default: nil
        }
      ofMemory = memory.map { row.ramRate.median / $0 }
      requestBytes = row.meanRequestBytes
    }

    /// Requests of fewer bytes on average cost more than they move.
    private static let shortRequest = Double(128 << 10)

    var conclusion: (Bound, String) {
      let share = busy / usable
      let cpu =
        "\(NumberText.significant(busy)) of \(NumberText.fixed(usable, places: 0)) processors busy"
      var reasons = [cpu]
      if let ofDisk { reasons.append("\(NumberText.significant(ofDisk)) of fio's rate") }
      if let ofMemory { reasons.append("\(NumberText.significant(ofMemory)) of memory's rate") }
      if let requestBytes {
        reasons.append("requests of \(NumberText.bytes(UInt64(requestBytes))) on average")
      }
      let reason = reasons.joined(separator: ", ")
      if let ofDisk, ofDisk >= 0.9 { return (.disk, reason) }
      if let ofMemory, ofMemory >= 0.7 { return (.memory, reason) }
      if let requestBytes, requestBytes < Self.shortRequest, share >= 0.5 {
        return (.requestSize, reason)
      }
      if share >= 0.8 { return (.cpu, reason) }
      if let requestBytes, requestBytes < Self.shortRequest { return (.requestSize, reason) }
      if ofDisk == nil, fileRate > 0, share < 0.5 {
        return (.disk, reason + "; nothing else was busy (--against fio tells more)")
      }
      return share < 0.5 ? (.waiting, reason) : (.unknown, reason)
    }
  }

  /// A line for people.
  var text: String {
    let settings = settings.isEmpty ? "" : " \(settings)"
    let what: String =
      switch bound {
      case .disk: "the disk"
      case .memory: "memory"
      case .cpu: "the processors"
      case .requestSize: "the size of requests: many short ones"
      case .waiting: "waiting: neither disk nor processors were full"
      case .unknown: "several things together"
      }
    return "\(mix) \(operation.rawValue)\(settings): bounded by \(what) (\(reason))."
  }
}

extension BenchRow {
  /// Mean bytes of the requests that moved pages to or from the image; `nil` where nothing was moved, or it is not known.
  var meanRequestBytes: Double? {
    let operationReads = [.restore, .toDirectory].contains(key.operation)
    let timed = (operationReads ? latencies.read : latencies.write).totalCount
    let all = bytes * UInt64(samples.count)
    // There the requests of both files are counted.
    let moved = key.operation.isBetweenFiles ? 2 * all : all
    if timed > 0 { return Double(all) / Double(timed) }
    let requests = samples.reduce(0) { $0 + ($1.requests ?? 0) }
    return bytes > 0 && requests > 0 ? Double(moved) / Double(requests) : nil
  }
}
