package import Histogram
import LinuxIO
import MappedRAM

/// How long requests took, in nanoseconds: to a hundredth, or 64 ns, up to 100 s.
package struct BenchLatencies: Sendable {
  package private(set) var read = Self.histogram
  package private(set) var write = Self.histogram

  /// The longest time that is told; a longer one is taken for it.
  private static let longest: UInt64 = 100_000_000_000

  /// As large as it needs to be from the beginning, 24 KiB: one that grows takes more of the processor, in the time that is measured, than
  /// the channels do (hdrhistogram-swift 0.2.0).
  private static var histogram: Histogram<UInt64> {
    Histogram<UInt64>(
      lowestDiscernibleValue: 64, highestTrackableValue: longest,
      numberOfSignificantValueDigits: .two)
  }

  /// Records a request that took `nanoseconds`.
  package mutating func record(isRead: Bool, _ nanoseconds: UInt64) {
    let time = min(nanoseconds, Self.longest)
    if isRead { read.record(time) } else { write.record(time) }
  }

  /// Adds those of `other`.
  mutating func add(_ other: BenchLatencies) {
    read.add(other.read)
    write.add(other.write)
  }
}

extension BenchLatencies {
  /// What is told of them, in nanoseconds.
  package struct Numbers: Codable, Equatable, Sendable {
    package var count: UInt64
    package var p50: UInt64
    package var p90: UInt64
    package var p99: UInt64
    package var p999: UInt64
    package var max: UInt64

    /// `nil` where there were no requests.
    package init?(_ histogram: Histogram<UInt64>) {
      guard histogram.totalCount > 0 else { return nil }
      count = histogram.totalCount
      p50 = histogram.valueAtPercentile(50)
      p90 = histogram.valueAtPercentile(90)
      p99 = histogram.valueAtPercentile(99)
      p999 = histogram.valueAtPercentile(99.9)
      max = histogram.max
    }
  }

  /// Of both directions.
  package var numbers: (read: Numbers?, write: Numbers?) { (Numbers(read), Numbers(write)) }
}

/// Records how long requests take: in a histogram for each channel, which are added when they are asked for.
final class LatencyRecorder: RequestObserver {
  private let channels = Monitor<[ChannelRecorder]>([])

  func channel() -> any ChannelObserver {
    let recorder = ChannelRecorder()
    channels.withLock { $0.append(recorder) }
    return recorder
  }

  /// What was recorded. The channels must have ended.
  var latencies: BenchLatencies {
    channels.withLock { channels in
      channels.reduce(into: BenchLatencies()) { $0.add($1.latencies) }
    }
  }
}

/// @unchecked Sendable: one thread records, and others look when that has ended and been joined.
private final class ChannelRecorder: ChannelObserver, @unchecked Sendable {
  private(set) var latencies = BenchLatencies()

  func finished(isRead: Bool, nanoseconds: UInt64) {
    latencies.record(isRead: isRead, nanoseconds)
  }
}
