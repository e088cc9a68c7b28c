import Foundation
import MappedRAMBench
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMCommands

/// The built command measures, and what it says is JSON that can be read again.
@Suite struct BenchTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func report(_ arguments: [String]) throws -> BenchJSON {
    let output = try Tool.succeed(["bench", directory.path.string, "--json"] + arguments).output
    let report = try JSONDecoder().decode(BenchJSON.self, from: Data(output))
    #expect(report.verified)
    #expect(try directory.names() == [])
    return report
  }

  @Test(arguments: ["private", "shared", "made"])
  func measuresBothWaysAndLeavesNothing(memory: String) throws {
    let report = try report([
      "--size", "16M", "--zero-fraction", "0.5", "--seed", "7", "--repeat", "2", "--memory", memory,
    ])
    #expect(report.seed == 7 && report.rounds == 2 && report.memory == memory)
    #expect(report.rows.map(\.operation) == ["save", "restore"])
    for row in report.rows {
      #expect((4 << 20...12 << 20).contains(row.bytes))
      #expect(row.ramBytes == 16 << 20)
      #expect(row.samples.count == 2)
      #expect(row.seconds.min <= row.seconds.median && row.seconds.median <= row.seconds.max)
      #expect(row.samples.map(\.seconds).min() == row.seconds.min)
      #expect(try #require(row.peakMemoryBytes) < 150 << 20)
    }
    #expect(report.rows[0].bytes == report.rows[1].bytes)
  }

  @Test func aSweepHasRowsForEveryCombinationAndMixture() throws {
    let report = try report([
      "--size", "4M", "--repeat", "1", "--mix", "random,alternate,zero", "--channels", "1,2",
      "--io", "sync,io_uring", "--memory", "made",
    ])
    #expect(report.rows.count == 3 * 4 * 2)
    #expect(Set(report.rows.map { $0.mix + $0.operation + $0.settings }).count == 24)
    let bytes = Dictionary(grouping: report.rows, by: \.mix).mapValues { Set($0.map(\.bytes)) }
    #expect(bytes == ["random": [4 << 20], "alternate": [2 << 20], "zero": [0]])
  }

  @Test func layoutsAreRowsOfTheirOwn() throws {
    let report = try report([
      "--size", "4M", "--repeat", "1", "--memory", "made", "--layout", "1M,2M", "--explain",
    ])
    let suffixes = report.rows.map { $0.settings.suffix(9) }
    #expect(suffixes == ["layout 1M", "layout 1M", "layout 2M", "layout 2M"])
    #expect(report.rows.map(\.operation) == ["save", "restore", "save", "restore"])
    #expect(report.explanations?.count == 4)
  }

  @Test func theTableHasARowForWritingAndOneForReading() throws {
    let table = try Tool.succeed([
      "bench", directory.path.string, "--size", "4M", "--repeat", "1", "--memory", "made",
    ]).text.split(separator: "\n")
    // The rates, and the latencies of the requests.
    #expect(table.count == 6)
    for part in [1, 4] {
      #expect(table[part].contains("save ") && table[part + 1].contains("restore "))
    }
  }

  @Test func aRunIsComparedWithAnOlderOne() throws {
    let other = try TemporaryDirectory()
    let (old, chart) = (other.file("old.json"), other.file("chart.svg"))
    let arguments = ["--size", "4M", "--repeat", "1", "--memory", "made"]
    let bench = ["bench", directory.path.string] + arguments
    let output = try Tool.succeed(bench + ["--json"]).output
    try Data(output).write(to: URL(fileURLWithPath: old.string))
    // No machine is so uneven that a rate falls to a ten-thousandth, or hides a fall to a thousandth.
    func compare(_ more: [String]) throws -> Subprocess {
      try Tool.run(bench + ["--compare", old.string] + more)
    }
    #expect(try compare(["--fail-below", "0.0001", "--chart", chart.string]).status == 0)
    #expect(try String(contentsOfFile: chart.string, encoding: .utf8).hasSuffix("</svg>\n"))
    var slow = try JSONDecoder().decode(BenchJSON.self, from: Data(output))
    for row in slow.rows.indices { slow.rows[row].seconds.median /= 1000 }
    try Data(JSONText.document(slow).utf8).write(to: URL(fileURLWithPath: old.string))
    let fallen = try compare(["--fail-below", "0.9"])
    #expect(fallen.status == 1)
    #expect(fallen.errors.contains("2 rows compared, 2 below 0.900 of the old rate."))
    let refused = try Tool.run(
      ["bench", directory.path.string, "--size", "8M", "--compare", old.string])
    #expect(refused.status == 65)
    #expect(refused.errors.contains("guest's memory was 4.00 MiB and is 8.00 MiB"))
  }

  @Test func whatBoundedARowIsSaidOnRequest() throws {
    let report = try report(["--size", "4M", "--repeat", "1", "--memory", "made", "--explain"])
    #expect(report.explanations?.map(\.operation) == ["save", "restore"])
  }

  @Test func moreMemoryThanThereIsIsRefusedAtOnce() throws {
    let result = try Tool.run(["bench", directory.path.string, "--size", "32T"])
    #expect(result.status == 69)
    #expect(result.errors.contains("--memory made"))
  }
}
