/// Ours against another's, from medians of one run.
package struct BenchRatio: Equatable, Sendable {
  /// The mixture of pages.
  package var mix: String
  /// What is compared with what.
  package var kind: Kind
  /// Ours, and theirs: seconds, seconds per GiB, bytes a second, or bytes, as `kind` says.
  package var ours: Double
  package var theirs: Double

  /// What is compared.
  package enum Kind: Equatable, Sendable {
    /// QEMU's time, with these settings, as a multiple of ours.
    case time(BenchRow.Operation, BenchRow.Settings)
    /// Our processor time for a GiB by QEMU's.
    case cost(BenchRow.Operation)
    /// Our rate by that of a bound.
    case rate(BenchRow.Operation, Bound)
    /// How many milliseconds longer a start on an image takes than QEMU's own.
    case map
    /// Our peak memory, in MiB, by nothing.
    case peakMemory
  }

  /// What bounds a rate.
  package enum Bound: Equatable, Sendable {
    case fioWrite, fioRead
    /// What one disk gives to who reads from it and writes to it at once.
    case fioCopy
    /// The slower of fio's read and write.
    case slowerOfFio
    /// Fresh memory is touched, or memory is looked at.
    case touchingMemory, readingMemory
  }

  /// The number.
  package var value: Double {
    switch kind {
    case .time: theirs / ours
    case .cost, .rate: ours / theirs
    case .map: (ours - theirs) * 1000
    case .peakMemory: ours / Double(1 << 20)
    }
  }

  /// Every ratio that the rows of one run allow, mixture by mixture.
  ///
  /// Of several settings of a contestant the one with the least median time counts.
  package static func all(of rows: [BenchRow]) -> [BenchRatio] {
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
      time(.save), time(.restore), cost(.save), cost(.restore), saveAgainstFio,
      restoreAgainstBound, map, directory(.toDirectory), directory(.fromDirectory),
      directoryAgainstCopy(.toDirectory), directoryAgainstCopy(.fromDirectory), zeros, peakMemory,
    ].compactMap { $0 }
  }

  /// The fastest row of a contestant.
  private func best(
    _ operation: BenchRow.Operation, _ contestant: BenchRow.Contestant
  ) -> BenchRow? {
    rows.filter { $0.key.operation == operation && $0.key.contestant == contestant }
      .min { $0.seconds.median < $1.seconds.median }
  }

  private func ratio(_ kind: BenchRatio.Kind, _ ours: Double, _ theirs: Double) -> BenchRatio {
    BenchRatio(mix: mix, kind: kind, ours: ours, theirs: theirs)
  }

  private func time(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let theirs = best(operation, .qemu) else {
      return nil
    }
    return ratio(
      .time(operation, theirs.key.settings), ours.seconds.median, theirs.seconds.median)
  }

  private func cost(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM)?.cpuSecondsPerGiB,
      let theirs = best(operation, .qemu)?.cpuSecondsPerGiB, theirs.median > 0
    else { return nil }
    return ratio(.cost(operation), ours.median, theirs.median)
  }

  private var saveAgainstFio: BenchRatio? {
    guard let ours = best(.save, .mappedRAM), let fio = best(.save, .fio) else { return nil }
    return ratio(.rate(.save, .fioWrite), ours.rate.median, fio.rate.median)
  }

  /// Against the lower of fio's read and the rate at which fresh memory can be touched.
  private var restoreAgainstBound: BenchRatio? {
    guard let ours = best(.restore, .mappedRAM), ours.bytes > 0, let fio = best(.restore, .fio)
    else { return nil }
    if let touch = best(.memoryTouch, .memory), touch.rate.median < fio.rate.median {
      return ratio(.rate(.restore, .touchingMemory), ours.rate.median, touch.rate.median)
    }
    return ratio(.rate(.restore, .fioRead), ours.rate.median, fio.rate.median)
  }

  private var map: BenchRatio? {
    guard let map = best(.map, .mappedRAM), let start = best(.start, .qemu) else { return nil }
    return ratio(.map, map.seconds.median, start.seconds.median)
  }

  private func directory(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let read = best(.restore, .fio),
      let write = best(.save, .fio)
    else { return nil }
    return ratio(
      .rate(operation, .slowerOfFio), ours.rate.median, min(read.rate.median, write.rate.median))
  }

  private func directoryAgainstCopy(_ operation: BenchRow.Operation) -> BenchRatio? {
    guard let ours = best(operation, .mappedRAM), let copy = best(.copy, .fio) else { return nil }
    return ratio(.rate(operation, .fioCopy), ours.rate.median, copy.rate.median)
  }

  /// Only where nothing has to be written.
  private var zeros: BenchRatio? {
    guard let ours = best(.save, .mappedRAM), ours.bytes == 0,
      let memory = best(.memoryRead, .memory)
    else { return nil }
    return ratio(.rate(.save, .readingMemory), ours.ramRate.median, memory.rate.median)
  }

  private var peakMemory: BenchRatio? {
    let peaks = rows.filter { $0.key.contestant == .mappedRAM }.compactMap(\.peakMemoryBytes)
    guard let peak = peaks.max() else { return nil }
    return ratio(.peakMemory, Double(peak), 0)
  }
}
