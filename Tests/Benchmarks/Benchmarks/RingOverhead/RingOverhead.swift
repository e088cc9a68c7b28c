import Benchmark
import LinuxIO
import URing

/// What a ring costs besides the device: requests to a file in memory, and the making of rings.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .throughput, .syscalls], maxDuration: .seconds(2))

  Benchmark("Making a ring of 32 entries") { benchmark in
    for _ in benchmark.scaledIterations {
      let ring = try Ring(entries: 32)
      ring.close()
    }
  }

  for depth in [1, 8, 32] {
    Benchmark("1024 reads of 4 KiB from memory, \(depth) at once") { benchmark in
      let file = try File.inMemory(name: "ring", byteCount: 4 << 20)
      let buffer = try AlignedBuffer(byteCount: 4096 * depth)
      var ring = try Ring(entries: depth)
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations {
        for first in stride(from: 0, to: 1024, by: depth) {
          for index in 0..<depth {
            ring.prepareRead(
              descriptor: file.bufferedDescriptor,
              into: UnsafeMutableRawBufferPointer(
                rebasing: buffer.bytes[index * 4096..<(index + 1) * 4096]),
              offset: UInt64(first + index) * 4096, tag: UInt64(index))
          }
          while ring.inFlight > 0 {
            try ring.submitAndWait(minimum: 1)
            while let completion = ring.nextCompletion() { blackHole(completion) }
          }
        }
      }
      benchmark.stopMeasurement()
    }
  }

  Benchmark("1024 reads of 4 KiB from memory, pread") { benchmark in
    let file = try File.inMemory(name: "ring", byteCount: 4 << 20)
    let buffer = try AlignedBuffer(byteCount: 4096)
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations {
      for index in 0..<1024 { try file.read(into: buffer.bytes, at: UInt64(index) * 4096) }
    }
    benchmark.stopMeasurement()
  }
}
