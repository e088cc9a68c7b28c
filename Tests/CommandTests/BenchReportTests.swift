import ArgumentParser
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import LinuxIO
@testable import MappedRAMCommands

/// What bench makes of its samples.
@Suite struct BenchReportTests {
  private func row(
    _ operation: BenchRow.Operation, _ contestant: BenchRow.Contestant, _ seconds: [Double],
    mix: String = "random", settings: String = "", bytes: UInt64 = 1 << 30, cpu: Double? = nil,
    requests: UInt64? = nil
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
        device: "/dev/vda", directIO: "active", memoryAlignment: 512, offsetAlignment: 512,
        ringFeatures: ["nodrop"], ringRefusal: nil))
  }

  @Test(
    arguments: [
      ([3.0], 3.0), ([1, 9], 5), ([9, 1, 2], 2), ([4, 1, 3, 2], 2.5),
    ] as [([Double], Double)])
  func theMedianIsInTheMiddle(values: [Double], median: Double) {
    let spread = Spread(values)
    #expect(spread.median == median)
    #expect(spread.least == values.min() && spread.greatest == values.max())
  }

  @Test func ratiosTakeTheBestOfEachContestant() throws {
    let ratios = BenchRatio.all(of: [
      row(.save, .mappedRAM, [1, 0.5, 0.6], settings: "a", cpu: 0.1),
      row(.save, .mappedRAM, [3], settings: "b", cpu: 1),
      row(.save, .qemu, [2], settings: "1 channel", cpu: 1),
      row(.save, .qemu, [1.2], settings: "8 channels", cpu: 0.5),
      row(.save, .fio, [0.6]),
    ])
    let byName = Dictionary(uniqueKeysWithValues: ratios.map { ($0.what, $0) })
    let wall = try #require(byName["save: QEMU's time / ours"])
    #expect(wall.value == 2)
    #expect(wall.terms.contains("8 channels"))
    let cost = try #require(byName["save: our CPU-s per GiB / QEMU's"])
    #expect(cost.value == 0.2)
    let fio = try #require(byName["save: our rate / fio's write"])
    #expect(fio.value == 1)
    #expect(ratios.count == 3)
  }

  @Test func aRestoreIsHeldAgainstTheLowerOfDiskAndMemory() throws {
    let rows = [row(.restore, .mappedRAM, [1]), row(.restore, .fio, [0.5])]
    let disk = try #require(BenchRatio.all(of: rows).first)
    #expect(disk.value == 0.5 && disk.what.hasSuffix("fio's read"))
    let memory = try #require(
      BenchRatio.all(of: rows + [row(.memoryTouch, .memory, [1])]).first)
    #expect(memory.value == 1 && memory.what.hasSuffix("touching memory"))
  }

  @Test func directoriesAreHeldAgainstTheSlowerOfFiosRatesAndItsCopy() throws {
    let ratios = BenchRatio.all(of: [
      row(.toDirectory, .mappedRAM, [2]), row(.fromDirectory, .mappedRAM, [1]),
      row(.save, .fio, [0.5]), row(.restore, .fio, [1]), row(.copy, .fio, [1.5]),
    ])
    let byName = Dictionary(uniqueKeysWithValues: ratios.map { ($0.what, $0) })
    #expect(byName["to-directory: our rate / fio's slower one"]?.value == 0.5)
    #expect(byName["from-directory: our rate / fio's slower one"]?.value == 1)
    #expect(byName["to-directory: our rate / fio's copy"]?.value == 0.75)
    #expect(byName["from-directory: our rate / fio's copy"]?.value == 1.5)
    #expect(ratios.count == 4)
  }

  @Test func aMapIsHeldAgainstTheStartAlone() throws {
    let ratio = try #require(
      BenchRatio.all(of: [row(.map, .mappedRAM, [0.1875]), row(.start, .qemu, [0.1640625])]).first)
    #expect(ratio.value == 23.4375)
  }

  @Test func zerosAreHeldAgainstReadingMemory() throws {
    let ratios = BenchRatio.all(of: [
      row(.save, .mappedRAM, [0.2], mix: "zero", bytes: 0),
      row(.memoryRead, .memory, [0.1], mix: "zero"),
    ])
    #expect(ratios.map(\.value) == [0.5])
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
      comparison.text.contains("random save mapped-ram : 0.800 of the old rate, below 0.900."))
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
      (1.0, 0.1, nil, 1024, .disk), (1.0, 0.1, 0.95, 1024, .disk), (1.0, 1.9, 0.5, 1024, .cpu),
      (1.0, 1.5, 0.5, 131_072, .requestSize), (1.0, 0.1, 0.5, 1024, .waiting),
      (1.0, 1.2, 0.5, 1024, .unknown),
    ] as [(Double, Double, Double?, UInt64, BenchExplanation.Bound)])
  func explains(
    seconds: Double, cpu: Double, fio: Double?, requests: UInt64, bound: BenchExplanation.Bound
  ) {
    var rows = [row(.save, .mappedRAM, [seconds], cpu: cpu, requests: requests)]
    if let fio { rows.append(row(.save, .fio, [seconds * fio])) }
    let found = BenchExplanation.all(of: rows, processors: 2)
    #expect(found.map(\.bound) == [bound])
  }

  /// Half of what fio writes, but all that it reads and writes at once; 2 GiB of requests for 1 GiB.
  @Test(arguments: [BenchRow.Operation.toDirectory, .fromDirectory])
  func directoriesAreBoundedByADiskThatReadsAndWrites(_ operation: BenchRow.Operation) throws {
    let found = BenchExplanation.all(
      of: [
        row(operation, .mappedRAM, [1], cpu: 0.1, requests: 2048), row(.save, .fio, [0.5]),
        row(.restore, .fio, [0.5]), row(.copy, .fio, [1]), row(.memoryTouch, .memory, [1]),
      ], processors: 2)
    let explanation = try #require(found.first)
    #expect(explanation.bound == .disk)
    #expect(explanation.reason.contains("1.00 of fio's rate, requests of 1.00 MiB"))
  }

  @Test func memoryThatIsReadAsFastAsItCanBeIsTheBound() {
    let found = BenchExplanation.all(
      of: [
        row(.save, .mappedRAM, [0.1], bytes: 0, cpu: 0.1), row(.memoryRead, .memory, [0.08]),
      ], processors: 2)
    #expect(found.map(\.bound) == [.memory])
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
      row(.save, .mappedRAM, [1, 2], settings: "<&>"), row(.save, .fio, [1]),
      row(.map, .mappedRAM, [1]),
    ]
    let picture = BenchChart.picture(rows, title: "a & b")
    #expect(picture.contains("a &amp; b") && picture.contains("&lt;&amp;&gt;"))
    // The background, two entries of the legend, two bars.
    #expect(picture.components(separatedBy: "<rect").count - 1 == 5)
  }
}

@Suite struct FioResultTests {
  private func side(_ bytes: Int, _ runtime: Int) -> String {
    #"{"io_bytes":\#(bytes),"runtime":\#(runtime)}"#
  }

  private func job(_ read: String, _ write: String, error: Int = 0) -> String {
    """
    {"error":\(error),"job_runtime":2100,"usr_cpu":10.0,"sys_cpu":15.0,"read":\(read),"write":\(write)}
    """
  }

  private func output(_ jobs: String...) -> String {
    "note: something\n{\"jobs\":[\(jobs.joined(separator: ","))]}\n"
  }

  @Test func timeBytesAndProcessorTimeAreReadFromItsJSON() throws {
    let jobs = [job(side(0, 0), side(4 << 20, 2000)), job(side(4 << 20, 2000), side(0, 0))]
    for job in jobs {
      let result = try #require(FioResult(output(job)))
      #expect(result.bytes == 4 << 20 && result.seconds == 2)
      #expect(abs(result.cpuSeconds - 0.525) < 1e-9)
    }
  }

  @Test func ofTwoJobsTheLastEndCounts() throws {
    let result = try #require(
      FioResult(output(job(side(8192, 1500), side(0, 0)), job(side(0, 0), side(8192, 2500)))))
    #expect(result.bytes == 8192 && result.seconds == 2.5)
    #expect(abs(result.cpuSeconds - 1.05) < 1e-9)
  }

  @Test func nothingIsReadFromWhatFailedOrMovedNothing() {
    let good = job(side(0, 0), side(4096, 1))
    #expect(FioResult(output(good)) != nil)
    #expect(FioResult(output(good, job(side(0, 0), side(4096, 1), error: 5))) == nil)
    #expect(FioResult(output(good, job(side(0, 0), side(4096, 0)))) == nil)
    #expect(FioResult(output(good, job(side(0, 0), side(0, 0)))) == nil)
    #expect(FioResult(output()) == nil)
    #expect(FioResult("") == nil)
    #expect(FioResult("{") == nil)
  }
}
