import Histogram
import MappedRAM
package import MappedRAMFormat

/// What bounded a result, as far as the run's own measurements tell.
package struct BenchExplanation: Equatable, Sendable {
  package var mix: String
  package var operation: BenchRow.Operation
  package var settings: BenchRow.Settings
  package var layout: SlotLayout?
  package var bound: Bound
  /// The measurements from which that follows.
  package var reason: Reason

  /// What a result can be bounded by.
  package enum Bound: String, Sendable {
    case disk, memory, cpu, requestSize = "request size", waiting, unknown
  }

  /// The numbers that conclusions are drawn from.
  package struct Reason: Equatable, Sendable {
    /// Processors busy on average, of those that the channels can keep busy.
    package var busy: Double
    package var usable: Double
    /// Of fio's rate, and of the rate of memory, in the same run.
    package var ofDisk: Double?
    package var ofMemory: Double?
    /// Mean bytes of a request that reached the file.
    package var requestBytes: Double?
    /// Whether it is the bound because nothing else was busy.
    package var isByExclusion = false
  }

  /// One for each row of the engine.
  package static func all(of rows: [BenchRow], processors: Int) -> [BenchExplanation] {
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
    layout = row.key.layout
    reason = Reason(row, others, processors)
    (bound, reason.isByExclusion) = reason.conclusion(movesBytes: row.rate.median > 0)
  }
}

extension BenchExplanation.Reason {
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

  /// The bound, and whether that is one by exclusion.
  func conclusion(movesBytes: Bool) -> (BenchExplanation.Bound, isByExclusion: Bool) {
    let share = busy / usable
    if let ofDisk, ofDisk >= 0.9 { return (.disk, false) }
    if let ofMemory, ofMemory >= 0.7 { return (.memory, false) }
    if let requestBytes, requestBytes < Self.shortRequest, share >= 0.5 {
      return (.requestSize, false)
    }
    if share >= 0.8 { return (.cpu, false) }
    if let requestBytes, requestBytes < Self.shortRequest { return (.requestSize, false) }
    if ofDisk == nil, movesBytes, share < 0.5 { return (.disk, true) }
    return (share < 0.5 ? .waiting : .unknown, false)
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
