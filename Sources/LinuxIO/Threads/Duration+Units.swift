import Glibc

/// A duration in the units that system calls, other programs and people take.
extension Duration {
  /// Seconds with their parts, as exact as the number can be.
  package var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) / 1e18
  }

  /// Milliseconds, rounded down: 0 for a negative duration, and at most a hundred years.
  package var wholeMilliseconds: UInt64 { wholeMicroseconds / 1000 }

  /// Microseconds, rounded down: 0 for a negative duration, and at most a hundred years.
  package var wholeMicroseconds: UInt64 {
    let (seconds, nanoseconds) = forTheKernel
    return UInt64(seconds) * 1_000_000 + UInt64(nanoseconds / 1000)
  }

  /// Milliseconds, rounded up, for poll(2): 0 for a negative duration, and at most an hour.
  package var pollMilliseconds: Int32 {
    let (seconds, nanoseconds) = forTheKernel
    guard seconds < 3600 else { return 3_600_000 }
    return Int32(seconds * 1000 + (nanoseconds + 999_999) / 1_000_000)
  }

  /// Seconds and nanoseconds, rounded down, for a timespec: 0 for a negative duration, and at most a hundred years. That is "for ever",
  /// and added to a clock's time it does not overflow.
  var forTheKernel: (seconds: Int, nanoseconds: Int) {
    let (seconds, attoseconds) = max(self, .zero).components
    guard seconds < Self.hundredYears else { return (Int(Self.hundredYears), 0) }
    return (Int(seconds), Int(attoseconds / 1_000_000_000))
  }

  private static let hundredYears: Int64 = 3_153_600_000
}

/// Lets the calling thread sleep for `duration`, or until a signal is handled in it. Not at all if it is negative.
package func sleep(for duration: Duration) {
  let (seconds, nanoseconds) = duration.forTheKernel
  var time = timespec(tv_sec: seconds, tv_nsec: nanoseconds)
  // SAFETY: the time is read before the call returns, and is not kept.
  unsafe nanosleep(&time, nil)
}
