import Benchmark
import BenchmarkTargets

/// What is called for every page, for every request or for every image.
///
/// Throughput is of what the name says; wall time is for one round of it.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .throughput, .instructions, .syscalls], maxDuration: .seconds(2))
  for measured in MeasuredWork.all {
    Benchmark(measured.name) { benchmark in
      let work = try measured.prepare()
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations { try work() }
      benchmark.stopMeasurement()
    }
  }
}
