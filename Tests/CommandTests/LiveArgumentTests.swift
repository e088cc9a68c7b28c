import ArgumentParser
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands

/// The options of a live save, and what is said of its rounds.
@Suite struct LiveArgumentTests {
  private func options(_ line: String) throws -> LiveOptions? {
    let command = try SaveCommand.parse(
      (line + " s x.img").split(separator: " ").map(String.init))
    return command.live.options(command.transfer)
  }

  @Test func withoutTheFlagThereIsNoLiveSave() throws {
    #expect(try options("--engine auto") == nil)
  }

  @Test func theDefaultsAreTheLibrarys() throws {
    #expect(try options("--live") == LiveOptions())
  }

  @Test func allOptionsArrive() throws {
    #expect(
      try options(
        "--live --max-downtime 100 --max-rounds 7 --max-bandwidth 50M --if-not-converging fail")
        == LiveOptions(
          maximumDowntime: .milliseconds(100), maximumRounds: 7, bytesPerSecond: 50 << 20,
          ifNotConverging: .fail))
  }

  @Test(arguments: [
    "--max-downtime 0", "--max-downtime 86400000", "--max-rounds 1", "--max-rounds 1000",
    "--max-bandwidth 1M", "--if-not-converging pause",
  ])
  func limitsAreAllowed(_ text: String) {
    #expect(complaint("save s --live \(text) x.img") == nil)
  }

  @Test(arguments: [
    "--max-downtime=-1", "--max-downtime 86400001", "--max-rounds 0", "--max-rounds 1001",
    "--max-bandwidth 1048575", "--if-not-converging wait", "--max-downtime 0.5",
  ])
  func onePastTheLimitIsRefused(_ text: String) throws {
    let found = try #require(complaint("save s --live \(text) x.img"))
    #expect(found.contains(text.split(whereSeparator: { " =".contains($0) })[0]))
  }

  @Test(arguments: ["--max-rounds 5", "--if-not-converging fail"])
  func theyNeedTheFlag(_ text: String) throws {
    let found = try #require(complaint("save s \(text) x.img"))
    #expect(found.contains("is for a live save: give --live as well."))
  }

  @Test func aBoundOnTheDowntimeIsForAnySave() throws {
    let line = ["--max-downtime", "5", "s", "x.img"]
    #expect(try SaveCommand.parse(line).live.maximumDowntime == .milliseconds(5))
    #expect(try SaveCommand.parse(["--live"] + line).live.maximumDowntime == nil)
    #expect(
      complaint("save s --max-downtime 0 x.img")?.contains("nothing can be saved") == true)
  }

  @Test func aLiveSaveNeedsAVM() {
    #expect(complaint("pack --live d x.img")?.hasPrefix("Unknown option '--live'") == true)
  }

  // MARK: The report

  static let report = LiveReport(
    rounds: [
      LiveRound(readBytes: 1 << 30, changedBytes: 900 << 20, elapsed: .seconds(1)),
      LiveRound(readBytes: 1 << 30, changedBytes: 60 << 20, elapsed: .milliseconds(200)),
    ],
    lastRound: LiveRound(readBytes: 1 << 30, changedBytes: 21 << 20, elapsed: .milliseconds(150)),
    forecast: LiveForecast(after: [
      LiveRound(readBytes: 1 << 30, changedBytes: 900 << 20, elapsed: .seconds(1)),
      LiveRound(readBytes: 1 << 30, changedBytes: 60 << 20, elapsed: .milliseconds(200)),
    ]),
    hasConverged: true, hashBytes: 4 << 20, clearedPages: 3)

  @Test func peopleAreToldOfTheRounds() {
    #expect(
      LiveText(report: Self.report).lines == [
        "2 rounds while the VM ran: 900 MiB, 60.0 MiB; 21.0 MiB while it was paused; dirty rate 100 MiB/s"
      ])
    #expect(
      LiveText(report: Self.report).hashes
        == "Changes were found by hashes of all pages, read in each round; they took up to 4.00 MiB of memory"
    )
    var report = Self.report
    report.hasConverged = false
    let lines = LiveText(report: report).lines
    #expect(lines[1].hasPrefix("Note: the save did not converge: further rounds would not"))
  }

  @Test func programsAreToldAll() {
    #expect(
      JSONText.line(LiveText(report: Self.report).json)
        == #"{"clearedPages":3,"converged":true,"dirtyBytesPerSecond":104857600,"expectedDowntimeSeconds":0.21,"hashBytes":4194304,"#
        + #""lastRound":{"changedBytes":22020096,"elapsedSeconds":0.15,"readBytes":1073741824},"#
        + #""rounds":[{"changedBytes":943718400,"elapsedSeconds":1,"readBytes":1073741824},"#
        + #"{"changedBytes":62914560,"elapsedSeconds":0.2,"readBytes":1073741824}]}"#
        + "\n")
  }

  // MARK: Progress

  private func sample(_ seconds: Double, _ done: UInt64, _ live: LiveProgress?) -> ProgressSample {
    ProgressSample(
      elapsed: .seconds(seconds), totalBytes: 1000, doneBytes: done, writtenBytes: done, live: live)
  }

  @Test func theLineShowsRoundRateAndPause() {
    var estimate = RateEstimate()
    let live = LiveProgress(
      round: 3, dirtyBytesPerSecond: 120 << 20, expectedDowntime: .milliseconds(210))
    estimate.add(sample(0, 0, live))
    #expect(
      ProgressLine.text("save", sample(0, 0, live), estimate)
        == "save  round 3  120 MiB/s dirty  downtime 210 ms    0%  0 B of 1000 B")
    #expect(
      ProgressLine.text("save", sample(0, 0, LiveProgress(round: 1)), estimate)
        == "save  round 1    0%  0 B of 1000 B")
  }

  /// What is done counts anew; the rate is that of the round.
  @Test func aNewRoundBeginsANewEstimate() {
    var estimate = RateEstimate()
    estimate.add(sample(0, 0, LiveProgress(round: 1)))
    estimate.add(sample(1, 900, LiveProgress(round: 1)))
    estimate.add(sample(2, 100, LiveProgress(round: 2)))
    #expect(estimate.bytesPerSecond == nil)
    estimate.add(sample(3, 150, LiveProgress(round: 2)))
    #expect(estimate.bytesPerSecond == 50)
  }

  @Test func programsGetTheRound() {
    let live = LiveProgress(round: 2, dirtyBytesPerSecond: 5, expectedDowntime: .milliseconds(500))
    #expect(
      JSONText.line(ProgressLine.JSON("save", sample(1.5, 10, live)))
        == #"{"dirtyBytesPerSecond":5,"doneBytes":10,"elapsedSeconds":1.5,"expectedDowntimeSeconds":0.5,"phase":"save","#
        + #""round":2,"totalBytes":1000,"type":"progress","writtenBytes":10}"# + "\n")
  }
}
