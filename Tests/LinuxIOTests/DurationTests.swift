import LinuxIO
import Testing

@Suite struct DurationTests {
  private static let nanosecond = Duration.nanoseconds(1)
  private static let attosecond = Duration(secondsComponent: 0, attosecondsComponent: 1)
  private static let longest = Duration(
    secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999)
  private static let hundredYears: UInt64 = 3_153_600_000

  @Test(arguments: [
    (Duration.zero, 0.0), (.seconds(2), 2), (.milliseconds(-1500), -1.5),
    (.milliseconds(250), 0.25), (nanosecond, 1e-9), (attosecond, 1e-18),
    (.seconds(Int64.max), 9_223_372_036_854_775_807.0),
    (.seconds(Int64.min), -9_223_372_036_854_775_808.0),
  ])
  func secondsHaveTheirParts(duration: Duration, seconds: Double) {
    #expect(duration.inSeconds == seconds)
  }

  @Test(
    arguments: [
      (Duration.zero, 0), (.nanoseconds(999), 0), (.microseconds(1), 1),
      (.microseconds(2) - nanosecond, 1), (.seconds(1) - nanosecond, 999_999),
      (.seconds(1), 1_000_000), (.nanoseconds(-1), 0), (.seconds(-5), 0),
      (.seconds(Int64.min), 0), (.seconds(hundredYears) - nanosecond, hundredYears * 1_000_000 - 1),
      (.seconds(hundredYears), hundredYears * 1_000_000), (longest, hundredYears * 1_000_000),
    ] as [(Duration, UInt64)])
  func microsecondsAreRoundedDownAndNeverNegative(duration: Duration, count: UInt64) {
    #expect(duration.wholeMicroseconds == count)
    #expect(duration.wholeMilliseconds == count / 1000)
  }

  @Test(
    arguments: [
      (Duration.zero, 0), (.nanoseconds(-1), 0), (.seconds(-5), 0), (.seconds(Int64.min), 0),
      (nanosecond, 1), (.microseconds(1), 1), (.milliseconds(1) - nanosecond, 1),
      (.milliseconds(1), 1), (.milliseconds(1) + nanosecond, 2), (.milliseconds(1500), 1500),
      (.seconds(1) - nanosecond, 1000),
      (.seconds(3600) - .milliseconds(1), 3_599_999), (.seconds(3600) - nanosecond, 3_600_000),
      (.seconds(3600), 3_600_000), (.seconds(3601), 3_600_000),
      // More milliseconds than poll(2) can be told.
      (.milliseconds(Int64(Int32.max)), 3_600_000),
      (.milliseconds(Int64(Int32.max) + 1), 3_600_000),
      (longest, 3_600_000),
    ] as [(Duration, Int32)])
  func pollWaitsAtLeastAsLongAndAtMostAnHour(duration: Duration, milliseconds: Int32) {
    #expect(duration.pollMilliseconds == milliseconds)
  }

  @Test(arguments: [Duration.zero, .seconds(-1), .milliseconds(20)])
  func sleepLastsAtLeastAsLong(duration: Duration) {
    let start = ContinuousClock.now
    sleep(for: duration)
    #expect(ContinuousClock.now - start >= duration)
  }
}
