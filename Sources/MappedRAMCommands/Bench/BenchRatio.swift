/// Ours against another's, from medians of one run.
struct BenchRatio: Equatable, Sendable {
  /// The mixture of pages.
  var mix: String
  /// What is compared with what.
  var what: String
  /// The number.
  var value: Double
  /// What it is made of, in words.
  var terms: String
}

extension BenchRatio {
  /// Every ratio that the rows of one run allow, mixture by mixture.
  ///
  /// Of several settings of a contestant the one with the least median time counts.
  static func all(of rows: [BenchRow]) -> [BenchRatio] {
    var mixes: [String] = []
    for row in rows where !mixes.contains(row.key.mix) { mixes.append(row.key.mix) }
    return mixes.flatMap { mix in
      RatiosOfMix(mix: mix, rows: rows.filter { $0.key.mix == mix }).all
    }
  }
}

/// The ratios of one mixture.
private struct RatiosOfMix {
  let mix: String
  let rows: [BenchRow]

  var all: [BenchRatio] {
    [
      wallTime(.save), wallTime(.restore), cost(.save), cost(.restore), saveAgainstFio,
      restoreAgainstBound, map, directory(.toDirectory), directory(.fromDirectory),
      directoryAgainstCopy(.toDirectory), directoryAgainstCopy(.fromDirectory), zeros, peakMemory,
    ].compactMap { $0 }
  }

  /// The fastest row of a contestant.
  private func best(
    _ operation: BenchRow.Operation, _ contestant: BenchRow.Contestant, containing text: String = ""
  ) -> BenchRow? {
    rows.filter {
      $0.key.operation == operation && $0.key.contestant == contestant
        && (text.isEmpty || $0.key.settings.contains(text))
    }.min { $0.seconds.median < $1.seconds.median }
  }

  private func ratio(
    _ what: String, _ value: Double, _ terms: String
  ) -> BenchRatio { BenchRatio(mix: mix, what: what, value: value, terms: terms) }

  private func gibibytes(_ rate: Double) -> String { NumberText.rate(bytesPerSecond: rate) }

  private func wallTime(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let theirs = best(operation, .qemu) else {
      return nil
    }
    let (our, their) = (ours.seconds.median, theirs.seconds.median)
    return ratio(
      "\(operation.rawValue): QEMU's time / ours", their / our,
      "\(NumberText.significant(their)) s (\(theirs.key.settings)) / \(NumberText.significant(our)) s"
    )
  }

  private func cost(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM)?.cpuSecondsPerGiB,
      let theirs = best(operation, .qemu)?.cpuSecondsPerGiB, theirs.median > 0
    else { return nil }
    return ratio(
      "\(operation.rawValue): our CPU-s per GiB / QEMU's", ours.median / theirs.median,
      "\(NumberText.significant(ours.median)) / \(NumberText.significant(theirs.median))")
  }

  private var saveAgainstFio: BenchRatio? {
    guard let ours = best(.save, .mappedRAM), let fio = best(.save, .fio) else { return nil }
    return ratio(
      "save: our rate / fio's write", ours.rate.median / fio.rate.median,
      "\(gibibytes(ours.rate.median)) / \(gibibytes(fio.rate.median))")
  }

  /// Against the lower of fio's read and the rate at which fresh memory can be touched.
  private var restoreAgainstBound: BenchRatio? {
    guard let ours = best(.restore, .mappedRAM), ours.bytes > 0, let fio = best(.restore, .fio)
    else { return nil }
    var bound = (name: "fio's read", rate: fio.rate.median)
    if let touch = best(.memoryTouch, .memory), touch.rate.median < bound.rate {
      bound = ("touching memory", touch.rate.median)
    }
    return ratio(
      "restore: our rate / \(bound.name)", ours.rate.median / bound.rate,
      "\(gibibytes(ours.rate.median)) / \(gibibytes(bound.rate))")
  }

  private var map: BenchRatio? {
    guard let map = best(.map, .mappedRAM), let start = best(.start, .qemu) else { return nil }
    let milliseconds = (map.seconds.median - start.seconds.median) * 1000
    return ratio(
      "map: milliseconds besides QEMU's start", milliseconds,
      "\(NumberText.significant(map.seconds.median)) s - \(NumberText.significant(start.seconds.median)) s"
    )
  }

  private func directory(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let read = best(.restore, .fio),
      let write = best(.save, .fio)
    else { return nil }
    let bound = min(read.rate.median, write.rate.median)
    return ratio(
      "\(operation.rawValue): our rate / fio's slower one", ours.rate.median / bound,
      "\(gibibytes(ours.rate.median)) / \(gibibytes(bound))")
  }

  /// Against what one disk gives to who reads from it and writes to it at once.
  private func directoryAgainstCopy(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let copy = best(.copy, .fio) else { return nil }
    return ratio(
      "\(operation.rawValue): our rate / fio's copy", ours.rate.median / copy.rate.median,
      "\(gibibytes(ours.rate.median)) / \(gibibytes(copy.rate.median))")
  }

  /// Only where nothing has to be written.
  private var zeros: BenchRatio? {
    guard let ours = best(.save, .mappedRAM), ours.bytes == 0,
      let memory = best(.memoryRead, .memory)
    else { return nil }
    return ratio(
      "save of zeros: our rate / reading memory", ours.ramRate.median / memory.rate.median,
      "\(gibibytes(ours.ramRate.median)) / \(gibibytes(memory.rate.median))")
  }

  private var peakMemory: BenchRatio? {
    let peaks = rows.filter { $0.key.contestant == .mappedRAM }.compactMap(\.peakMemoryBytes)
    guard let peak = peaks.max() else { return nil }
    return ratio(
      "our peak memory, MiB", Double(peak) / Double(1 << 20),
      NumberText.bytes(peak))
  }
}
