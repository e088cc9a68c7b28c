import Foundation
import Glibc
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// `mapped-ram bench --live`, small.
  @Suite struct LiveBenchTests {
    /// What of the report is looked at.
    private struct Report: Decodable {
      var mode: String
      var rows: [Row]

      struct Row: Decodable {
        var ramBytes: UInt64
        var dirtyRate: UInt64?
        var dirtyBytesPerSecond: Numbers?
        var save: String
        var layout: String?
        var timeOfStopped: Double?
        var timeouts: Int
        var failure: String?
        var samples: [Sample]
      }
      struct Numbers: Decodable {
        var median: Double
      }
      struct Sample: Decodable {
        var seconds: Double
        var downtimeSeconds: Double?
        var writtenBytes: UInt64?
        var guestSpeed: Double
        var rounds: Int?
        var sentPages: UInt64?
      }
    }

    private static let ways = ["stopped", "snapshot", "rounds", "qemu", "qemu-snapshot"]

    private func run(_ arguments: [String]) throws -> Report {
      let directory = try TemporaryDirectory()
      let output = try Tool.succeed(
        ["bench", directory.path.string, "--live", "--json"] + arguments)
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
      return try JSONDecoder().decode(Report.self, from: Data(output.output))
    }

    @Test(arguments: [("private", "64M,128M"), ("shared", "64M")])
    func everyKindOfLiveSaveIsMeasured(memory: String, sizes: String) throws {
      let report = try run([
        "--size", sizes, "--dirty-rate", "0,20M,max", "--repeat", "1", "--memory", memory,
      ])
      #expect(report.mode == "live")
      #expect(report.rows.count == (memory == "private" ? 2 : 1) * 3 * Self.ways.count)
      #expect(report.rows.prefix(5).map(\.save) == Self.ways)
      for row in report.rows {
        let sample = try #require(row.samples.first, "\(row)")
        #expect(row.failure == nil && row.timeouts == 0)
        #expect(sample.seconds > 0)
        #expect(try #require(sample.downtimeSeconds) > 0)
        #expect(try #require(sample.downtimeSeconds) <= sample.seconds)
        #expect(try #require(row.timeOfStopped) > 0)
        // All of it is random.
        #expect(try #require(sample.writtenBytes) >= row.ramBytes)
        #expect((sample.rounds != nil) == ["rounds", "qemu"].contains(row.save))
        #expect((sample.sentPages != nil) == (row.save == "snapshot"))
        let rate = try #require(row.dirtyBytesPerSecond).median
        // The guest reaches what it was told, on machines that do other things as well.
        if row.dirtyRate == 0 { #expect(rate == 0) }
        let asked = Double(20 << 20)
        if row.dirtyRate == 20 << 20 { #expect((asked / 4...asked * 1.5).contains(rate)) }
        if row.dirtyRate == nil { #expect(rate > asked) }
      }
    }

    @Test func layoutsOfOursStandBesideEachOther() throws {
      let report = try run([
        "--size", "16M", "--dirty-rate", "0", "--repeat", "1", "--layout", "1M,2M",
      ])
      #expect(
        report.rows.map(\.save)
          == Self.ways.prefix(3).flatMap { [$0, $0] } + Self.ways.suffix(2))
      #expect(report.rows.map(\.layout) == ["1M", "2M", "1M", "2M", "1M", "2M", nil, nil])
      #expect(report.rows.allSatisfy { $0.samples.count == 1 })
    }

    @Test func aSaveThatTakesTooLongIsReportedAsThat() throws {
      let report = try run([
        "--size", "256M", "--dirty-rate", "max", "--repeat", "2", "--save-timeout", "0.001",
      ])
      #expect(report.rows.map(\.save) == Self.ways)
      for row in report.rows {
        #expect(row.failure == nil && row.timeouts + row.samples.count == 2, "\(row)")
      }
      #expect(report.rows.contains { $0.timeouts == 2 })
    }

    private static let isClosedToOthers =
      Unprivileged.isAvailable
      && (try? String(contentsOfFile: "/proc/sys/vm/unprivileged_userfaultfd", encoding: .utf8))
        == "0\n"
      && (try? Subprocess.run(Unprivileged.prefix() + ["test", "-w", "/dev/userfaultfd"]).status)
        != 0

    /// Background snapshots need userfaultfd. The other saves are measured all the same.
    @Test(.enabled(if: isClosedToOthers, "needs root, and a userfaultfd that is not for all"))
    func whatTheMachineRefusesIsARowThatSaysSo() throws {
      let directory = try TemporaryDirectory()
      let tool = directory.file("mapped-ram")
      try Subprocess.succeed(["cp", Tool.path, tool.string])
      try Subprocess.succeed(["mkdir", "-m", "777", directory.file("files").string])
      try directory.give(to: Unprivileged.nobody)
      let result = try Subprocess.run(
        Unprivileged.prefix() + [
          tool.string, "bench", directory.file("files").string, "--live", "--size", "16M",
          "--dirty-rate", "0", "--repeat", "2", "--json",
        ])
      #expect(result.status == 0, "\(result.errors)")
      let report = try JSONDecoder().decode(Report.self, from: Data(result.output))
      #expect(report.rows.map(\.save) == Self.ways)
      #expect(report.rows.map { $0.failure != nil } == [false, true, false, false, true])
      #expect(report.rows.map(\.samples.count) == [2, 0, 2, 2, 0])
      #expect(report.rows[1].failure?.contains("userfaultfd") == true)
    }

    /// Whatever ends it, its QEMU and its files end with it.
    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func aSignalEndsItWithItsQEMUAndFiles(signal: Int32) throws {
      for phase in signal == SIGKILL ? Self.ways : ["snapshot", "qemu"] {
        let directory = try TemporaryDirectory()
        let command = try RunningTool([
          "bench", directory.path.string, "--live", "--size", "256M", "--dirty-rate", "max",
          "--repeat", "1000", "--progress", "json",
        ])
        try waitUntil { command.errors.contains("\"phase\":\"save (\(phase))\"") }
        let qemus = try Self.children(of: command.processID)
        #expect(!qemus.isEmpty)
        command.send(signal)
        #expect(try command.wait() == (signal == SIGKILL ? 128 + SIGKILL : 130))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
        try waitUntil { qemus.allSatisfy { kill($0, 0) != 0 } }
        let sockets = try FileManager.default.contentsOfDirectory(atPath: "/tmp")
          .filter { $0.hasPrefix("mapped-ram-bench-\(command.processID)-") }
        #expect(sockets == [])
      }
    }

    /// The processes that `parent` has started.
    private static func children(of parent: Int32) throws -> [Int32] {
      let path = "/proc/\(parent)/task/\(parent)/children"
      return try String(contentsOfFile: path, encoding: .utf8).split(separator: " ")
        .compactMap { Int32($0) }
    }
  }
}
