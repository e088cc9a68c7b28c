import LinuxIO
import MappedRAM

/// Measures this process from its making on.
struct BenchWatch {
  private let peak: PeakWatch
  private let start: ContinuousClock.Instant
  private let usage: ResourceUsage

  /// Starts.
  init(_ session: BenchSession) throws(BenchError) {
    peak = try session.watchPeak()
    usage = ResourceUsage.current()
    start = .now
  }

  /// A sample of all that went on since, with the requests of `report`.
  func sample(of report: TransferReport?) -> BenchSample {
    let used = ResourceUsage.current().since(usage)
    var sample = report.map(BenchSample.init) ?? BenchSample(seconds: 0)
    sample.seconds = (ContinuousClock.now - start).inSeconds
    sample.cpuSeconds = used.cpuTime.inSeconds
    sample.peakMemoryBytes = peak.bytes
    return sample
  }
}
