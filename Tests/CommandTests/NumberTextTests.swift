import Testing

@testable import MappedRAMCommands

@Suite struct NumberTextTests {
  static let numbers: [(Double, String)] = [
    (0, "0.000"), (0.0004, "0.000"), (0.0005, "0.001"), (0.5, "0.500"), (0.9994, "0.999"),
    (0.9996, "1.00"), (2.314, "2.31"), (9.994, "9.99"), (9.996, "10.0"), (99.94, "99.9"),
    (99.96, "100"), (1023, "1023"), (-2.5, "-2.50"), (-0.0001, "0.000"),
  ]

  @Test(arguments: numbers)
  func threeDigitsCount(value: Double, text: String) {
    #expect(NumberText.significant(value) == text)
  }

  @Test(arguments: [Double.infinity, -.infinity, .nan])
  func whatIsNoNumberIsADash(value: Double) {
    #expect(NumberText.significant(value) == "-")
  }

  static let sizes: [(UInt64, String)] = [
    (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (4096, "4.00 KiB"),
    ((1 << 20) - 513, "1023 KiB"), ((1 << 20) - 512, "1.00 MiB"), (1 << 20, "1.00 MiB"),
    (10_035_200, "9.57 MiB"), (64 << 30, "64.0 GiB"), (132 << 40, "132 TiB"),
    (1 << 60, "1.00 EiB"), (.max, "16.0 EiB"),
  ]

  @Test(arguments: sizes)
  func bytesHaveTheUnitThatFits(count: UInt64, text: String) {
    #expect(NumberText.bytes(count) == text)
  }

  static let durations: [(Duration, String)] = [
    (Duration.zero, "0.000 s"), (.milliseconds(52), "0.052 s"), (.seconds(12.34), "12.3 s"),
    (.seconds(99.94), "99.9 s"), (.seconds(99.96), "1 min 40 s"), (.seconds(125), "2 min 05 s"),
    (.seconds(3599), "59 min 59 s"), (.seconds(3600), "1 h 00 min"),
    (.seconds(11_220), "3 h 07 min"),
  ]

  @Test(arguments: durations)
  func durationsHaveTheUnitThatFits(duration: Duration, text: String) {
    #expect(NumberText.duration(duration) == text)
  }

  @Test(arguments: [
    (Duration.seconds(-1), "0 s"), (.seconds(0.4), "0 s"), (.seconds(17.2), "17 s"),
    (.seconds(99.4), "99 s"), (.seconds(99.6), "1 min 40 s"),
  ])
  func guessedDurationsHaveNoFraction(duration: Duration, text: String) {
    #expect(NumberText.roughDuration(duration) == text)
  }

  @Test func ratesAreAlwaysInGiB() {
    #expect(NumberText.rate(bytesPerSecond: 1_073_741_824) == "1.00 GiB/s")
    #expect(NumberText.rate(bytesPerSecond: 1_048_576) == "0.001 GiB/s")
  }

  @Test func oneIsNotPlural() {
    #expect(NumberText.count(0, "request") == "0 requests")
    #expect(NumberText.count(1, "request") == "1 request")
    #expect(NumberText.count(2, "request") == "2 requests")
  }

  @Test(
    arguments: [
      (0, "1970-01-01 00:00:00 UTC"), (951_782_399, "2000-02-28 23:59:59 UTC"),
      (951_782_400, "2000-02-29 00:00:00 UTC"), (4_107_542_399, "2100-02-28 23:59:59 UTC"),
      (4_107_542_400, "2100-03-01 00:00:00 UTC"), (-1, "1969-12-31 23:59:59 UTC"),
      (1_795_819_800, "2026-11-27 22:50:00 UTC"), (253_402_300_799, "9999-12-31 23:59:59 UTC"),
      (-62_167_219_200, "0000-01-01 00:00:00 UTC"), (-62_167_219_201, "-62167219201"),
      (.max, "9223372036854775807"), (.min, "-9223372036854775808"),
    ] as [(Int64, String)])
  func aMomentIsInUTC(seconds: Int64, text: String) {
    #expect(NumberText.moment(seconds) == text)
  }
}
