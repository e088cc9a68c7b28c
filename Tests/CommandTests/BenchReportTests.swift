import ArgumentParser
import Foundation
import MappedRAM
import SystemPackage
import TestSupport
import Testing

@testable import LinuxIO
@testable import MappedRAMBench
@testable import MappedRAMCommands

/// What bench makes of its samples.
@Suite struct BenchReportTests {
  private func row(
    _ operation: BenchRow.Operation, _ contestant: BenchRow.Contestant, _ seconds: [Double],
    mix: String = "random", settings: BenchRow.Settings = .engine(.standard),
    bytes: UInt64 = 1 << 30,
    cpu: Double? = nil, requests: UInt64? = nil
  ) -> BenchRow {
    BenchRow(
      key: BenchRow.Key(
        mix: mix, operation: operation, contestant: contestant, settings: settings),
      ramBytes: 1 << 30, bytes: bytes,
      samples: seconds.map { BenchSample(seconds: $0, cpuSeconds: cpu, requests: requests) })
  }

  private func report(_ rows: [BenchRow]) throws -> BenchReport {
    BenchReport(
      directory: "/d", guest: try BenchGuest.parse(["--seed", "1"]), seed: 1, rounds: 3,
      rows: rows, notes: [],
      facts: BenchFacts(
        kernel: "6.1", processor: "x", processors: 2, memoryBytes: 1 << 30, fileSystem: "ext4",
        device: "/dev/vda", directIO: .active(memoryAlignment: 512, offsetAlignment: 512),
        ring: .success(["nodrop"])))
  }

  @Test(
    arguments: [
      (.engine(.standard), "2x32x1M io_uring"),
      (.engine(ChannelOptions(method: .sync, directIO: .off)), "2x32x1M sync, direct off"),
      (.capture(.standard), "capture, 2x32x1M io_uring"), (.map, "QEMU's start included"),
      (.start, "to its answer"), (.qemu(channels: 1, isDirect: false), "1 channel"),
      (.qemu(channels: 8, isDirect: true), "8 channels, direct"),
      (.fio(depth: 4, blockBytes: 1 << 20, isDirect: true), "1x4x1M io_uring, direct"),
      (.memory(threads: 2, .processRead), "2 threads, process_vm_readv"),
    ] as [(BenchRow.Settings, String)])
  func settingsAreTold(_ settings: BenchRow.Settings, as text: String) {
    #expect(settings.text == text)
  }

  @Test(
    arguments: [
      (
        .time(.save, .qemu(channels: 8, isDirect: false)), "save: QEMU's time / ours",
        "4.00 s (8 channels) / 2.00 s"
      ),
      (.cost(.restore), "restore: our CPU-s per GiB / QEMU's", "2.00 / 4.00"),
      (.map, "map: milliseconds besides QEMU's start", "2.00 s - 4.00 s"),
    ] as [(BenchRatio.Kind, String, String)])
  func ratiosAreTold(_ kind: BenchRatio.Kind, as what: String, from terms: String) {
    let ratio = BenchRatio(mix: "random", kind: kind, ours: 2, theirs: 4)
    #expect(ratio.what == what && ratio.terms == terms)
  }

  @Test(
    arguments: [
      (.save, .fioWrite, "save: our rate / fio's write"),
      (.restore, .touchingMemory, "restore: our rate / touching memory"),
      (.toDirectory, .slowerOfFio, "to-directory: our rate / fio's slower one"),
      (.fromDirectory, .fioCopy, "from-directory: our rate / fio's copy"),
      (.save, .readingMemory, "save of zeros: our rate / reading memory"),
    ] as [(BenchRow.Operation, BenchRatio.Bound, String)])
  func ratesAreTold(_ operation: BenchRow.Operation, _ bound: BenchRatio.Bound, as what: String) {
    let gibibyte = Double(1 << 30)
    let ratio = BenchRatio(
      mix: "random", kind: .rate(operation, bound), ours: gibibyte, theirs: 2 * gibibyte)
    #expect(ratio.what == what && ratio.terms == "1.00 GiB/s / 2.00 GiB/s")
  }

  @Test func anExplanationHasItsMeasurements() throws {
    let found = BenchExplanation.all(
      of: [
        row(.toDirectory, .mappedRAM, [1], cpu: 0.1, requests: 2048), row(.copy, .fio, [1]),
      ], processors: 2)
    let explanation = try #require(found.first)
    #expect(
      explanation.text
        == "random to-directory 2x32x1M io_uring: bounded by the disk (0.100 of 2 processors busy, 1.00 of fio's "
        + "rate, requests of 1.00 MiB on average).")
  }

  @Test func theJSONOfARunIsReadAgainAsItWas() throws {
    let json = BenchJSON(
      try report([row(.save, .mappedRAM, [1, 2, 3], cpu: 0.5), row(.save, .fio, [1])]))
    let text = JSONText.document(json)
    #expect(try JSONDecoder().decode(BenchJSON.self, from: Data(text.utf8)) == json)
    #expect(json.rows[0].samples.map(\.seconds) == [1, 2, 3])
    #expect(json.rows[0].seconds.median == 2)
    #expect(json.schemaVersion == 3)
  }

  @Test func aComparisonNamesWhatFellBelowTheLimit() throws {
    let old = BenchJSON(
      try report([row(.save, .mappedRAM, [1]), row(.restore, .mappedRAM, [1])]))
    let new = BenchJSON(
      try report([row(.save, .mappedRAM, [1.25]), row(.restore, .mappedRAM, [1])]))
    let comparison = try BenchComparison(new, with: old, at: "old.json", limit: 0.9)
    #expect(comparison.rows.count == 2)
    #expect(comparison.falls.map(\.operation) == ["save"])
    #expect(comparison.falls.map(\.ratio) == [0.8])
    #expect(
      comparison.text.contains(
        "random save mapped-ram 2x32x1M io_uring: 0.800 of the old rate, below 0.900."))
    // At the limit is not below it.
    #expect(try BenchComparison(new, with: old, at: "o", limit: 0.8).falls.isEmpty)
  }

  @Test func runsOfOtherMachinesAndGuestsAreNotCompared() throws {
    let new = BenchJSON(try report([row(.save, .mappedRAM, [1])]))
    var old = new
    old.ramBytes = 4096
    old.machine.fileSystem = "xfs"
    let expected = CommandError.incomparable(
      "old.json",
      [
        .init(what: "guest's memory", old: "4.00 KiB", new: "1.00 GiB"),
        .init(what: "file system", old: "xfs", new: "ext4"),
      ])
    #expect(throws: expected) {
      try BenchComparison(new, with: old, at: "old.json", limit: 0.9)
    }
    #expect(
      expected.description
        == "old.json: this run cannot be compared with that one: guest's memory was 4.00 KiB and is 1.00 GiB; "
        + "file system was xfs and is ext4.")
    var other = new
    other.rows[0].mix = "zero"
    #expect(throws: CommandError.self) {
      try BenchComparison(new, with: other, at: "old.json", limit: 0.9)
    }
  }

  @Test func aFileThatIsNoReportIsRefused() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("old.json")
    try Data("{\"command\":\"save\"}".utf8).write(to: URL(fileURLWithPath: path.string))
    #expect(throws: CommandError.notABench(path)) { try BenchComparison.read(path) }
  }

  @Test(
    arguments: [
      (0.9, 0.2), (1.1, 0.2), (5, 1), (6, 1), (6.1, 2), (30, 5), (0.012, 0.002),
    ] as [(Double, Double)])
  func theStepsOfAnAxisAreRound(greatest: Double, step: Double) {
    #expect(abs(BenchChart.step(greatest) / step - 1) < 1e-9)
  }

  @Test func ticksHaveAsManyDigitsAsTheirStepsNeed() {
    #expect(BenchChart.tickText(10, 5) == "10")
    #expect(BenchChart.tickText(0, 0.5) == "0.0")
    #expect(BenchChart.tickText(1.5, 0.5) == "1.5")
    #expect(BenchChart.tickText(0.004, 0.002) == "0.004")
  }

  @Test func theChartIsXMLWithABarForEachRow() throws {
    let rows = [
      row(.save, .mappedRAM, [1, 2], mix: "<&>"), row(.save, .fio, [1], mix: "<&>"),
      row(.map, .mappedRAM, [1]),
    ]
    let picture = BenchChart.picture(rows, title: "a & b")
    #expect(picture.contains("a &amp; b") && picture.contains("&lt;&amp;&gt;"))
    // The background, two entries of the legend, two bars.
    #expect(picture.components(separatedBy: "<rect").count - 1 == 5)
  }
}
