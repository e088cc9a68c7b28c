import ArgumentParser
import Foundation
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import LinuxIO
@testable import MappedRAMBench
@testable import MappedRAMCommands

/// What bench --live makes of its samples.
@Suite struct LiveBenchReportTests {
  private static func row(
    _ way: LiveRow.Way, _ seconds: [Double], _ change: (inout LiveRow) -> Void = { _ in }
  ) -> LiveRow {
    var row = LiveRow(
      key: LiveRow.Key(
        mix: "random", ramBytes: 1 << 30, dirtyRate: .bytesPerSecond(50 << 20), way: way),
      ramBytes: 1 << 30,
      samples: seconds.map {
        LiveSample(
          seconds: $0, downtimeSeconds: $0 / 10, writtenBytes: 1 << 30, cpuSeconds: 0.5,
          qemuCPUSeconds: 0.25, guestSpeed: 0.5, dirtyBytesPerSecond: 25 * 1_048_576)
      })
    row.dirtyRates = seconds.map { _ in 50 * 1_048_576 }
    change(&row)
    return row
  }

  /// A report with a row for every case.
  static func report(explains: Bool = false) throws -> LiveBenchReport {
    let bench = try BenchCommand.parse([
      "/d", "--live", "--dirty-rate", "50M", "--save-timeout", "9", "--repeat", "3",
    ])
    return LiveBenchReport(
      directory: "/d", seed: 1,
      bench: bench.live.bench(in: "/d", bench.guest, bench.rounds, bench.sweep, seed: 1),
      rows: [
        row(.stopped, [2, 1, 4]),
        row(.snapshot, [3, 3, 3]) { row in
          for index in row.samples.indices { row.samples[index].sentPages = 26_214 }
        },
        row(.rounds, [4, 4]) { row in
          row.timeouts = 1
          for index in row.samples.indices { row.samples[index].rounds = 1 }
          row.samples[0].isConverged = false
          row.samples[0].isWithinDowntimeLimit = false
          row.samples[1].isConverged = true
          row.samples[1].isWithinDowntimeLimit = true
        },
        row(.qemu, []) { $0.timeouts = 3 },
        row(.qemuSnapshot, []) { $0.failure = "refused" },
      ],
      facts: BenchFacts(
        kernel: "6.1", processor: "x", processors: 2, memoryBytes: 1 << 30, fileSystem: "ext4",
        device: "/dev/vda", directIO: .active(memoryAlignment: 512, offsetAlignment: 512),
        ring: .success(["nodrop"])),
      explains: explains)
  }

  @Test func everyKindOfSaveIsARow() throws {
    try expectSnapshot("bench-live", try Self.report(explains: true).table)
  }

  @Test func theTimeIsComparedWithThatOfTheStoppedSaveOfTheSameGuest() throws {
    let rows = try Self.report().rows
    #expect(rows.map { $0.timeOfStopped(among: rows) } == [1, 1.5, 2, nil, nil])
    var other = rows[1]
    other.key.dirtyRate = .unlimited
    #expect(other.timeOfStopped(among: rows) == nil)
    #expect(rows[0].cpuSecondsPerGiB?.median == 0.75)
  }

  @Test func theJSONHasWhatTheTableHas() throws {
    let json = try Self.report().json
    #expect(json.mode == "live" && json.schemaVersion == 1 && json.timeLimitSeconds == 9)
    #expect(json.rows.map(\.timeouts) == [0, 0, 1, 3, 0])
    #expect(json.rows.map(\.notConverged) == [0, 0, 1, 0, 0])
    #expect(json.rows.map(\.overDowntimeLimit) == [0, 0, 1, 0, 0])
    #expect(json.rows.map(\.failure) == [nil, nil, nil, nil, "refused"])
    #expect(json.rows[0].dirtyRate == 50 << 20)
    #expect(json.rows[0].downtimeSeconds?.median == 0.2)
    #expect(json.rows[1].samples.map(\.sentPages) == [26_214, 26_214, 26_214])
  }

  @Test func aLiveRunIsNotComparedWithAnother() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("live.json")
    try Data(JSONText.document(try Self.report().json).utf8)
      .write(to: URL(fileURLWithPath: path.string))
    #expect(throws: CommandError.notABench(path)) { try BenchComparison.read(path) }
  }
}
