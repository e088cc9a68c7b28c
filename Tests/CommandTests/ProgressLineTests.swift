import Testing

@testable import MappedRAMCommands

@Suite struct ProgressLineTests {
  private func sample(_ seconds: Double, _ done: UInt64, of total: UInt64) -> ProgressSample {
    ProgressSample(
      elapsed: .seconds(seconds), totalBytes: total, doneBytes: done, writtenBytes: done / 2)
  }

  private func line(_ samples: [ProgressSample]) throws -> String {
    var estimate = RateEstimate()
    for sample in samples { estimate.add(sample) }
    return ProgressLine.text("save", try #require(samples.last), estimate)
  }

  @Test func itHasShareRateAndTimeLeft() throws {
    let text = try line([sample(0, 0, of: 64 << 30), sample(10, 24 << 30, of: 64 << 30)])
    #expect(text == "save   37%  24.0 GiB of 64.0 GiB  2.40 GiB/s  17 s left")
  }

  @Test func withoutATotalTheHeadersAreBeingRead() throws {
    #expect(try line([sample(0, 0, of: 0)]) == "save  reading the headers")
  }

  @Test func atTheEndTheDiskIsWaitedFor() throws {
    let text = try line([sample(0, 0, of: 1 << 30), sample(1, 1 << 30, of: 1 << 30)])
    #expect(text == "save  100%  1.00 GiB  waiting for the disk")
  }

  @Test func withoutMovementThereIsNoTimeLeft() throws {
    let text = try line([sample(0, 0, of: 1 << 30), sample(1, 0, of: 1 << 30)])
    #expect(text == "save    0%  0 B of 1.00 GiB  0.000 GiB/s")
    #expect(try line([sample(0, 0, of: 1 << 30)]) == "save    0%  0 B of 1.00 GiB")
  }

  @Test func theRateIsTheRecentOne() throws {
    var estimate = RateEstimate()
    for second in 0...20 {
      let done = second <= 10 ? second * 100 : 1000 + (second - 10) * 10
      estimate.add(sample(Double(second), UInt64(done), of: 2000))
    }
    #expect(try #require(estimate.bytesPerSecond) == 10)
    #expect(try #require(estimate.timeLeft) == .seconds(90))
  }

  @Test func atANewRateItIsForgottenWithinTheWindow() throws {
    var estimate = RateEstimate()
    estimate.add(sample(0, 0, of: 1000))
    estimate.add(sample(100, 100, of: 1000))
    #expect(estimate.bytesPerSecond == 1)
    estimate.add(sample(105, 200, of: 1000))
    #expect(estimate.bytesPerSecond == 20)
  }

  @Test func theLineForProgramsHasSortedKeysAndRawNumbers() {
    let line = JSONText.line(ProgressLine.JSON("save", sample(1.5, 10, of: 40)))
    #expect(
      line
        == #"{"doneBytes":10,"elapsedSeconds":1.5,"phase":"save","totalBytes":40,"type":"progress","writtenBytes":5}"#
        + "\n")
  }
}
