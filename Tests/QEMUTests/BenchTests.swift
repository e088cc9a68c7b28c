import Foundation
import Glibc
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// `mapped-ram bench` against a real QEMU and a real fio, small.
  @Suite struct BenchTests {
    /// What of the report is looked at.
    private struct Report: Decodable {
      var verified: Bool
      var rows: [Row]
      var ratios: [Ratio]

      struct Row: Decodable {
        var operation: String
        var contestant: String
        var settings: String
        var bytes: UInt64
        var samples: [Sample]
      }
      struct Sample: Decodable {
        var seconds: Double
      }
      struct Ratio: Decodable {
        var what: String
        var value: Double
      }
    }

    private func run(_ arguments: [String]) throws -> Report {
      let directory = try TemporaryDirectory()
      let output = try Tool.succeed(["bench", directory.path.string, "--json"] + arguments)
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
      return try JSONDecoder().decode(Report.self, from: Data(output.output))
    }

    /// Killed while QEMU or we write and read, it leaves no file: none of them has a name.
    @Test func killedItLeavesNothing() throws {
      let directory = try TemporaryDirectory()
      for wait in [0.3, 0.6, 0.9, 1.2] {
        let command = try RunningTool([
          "bench", directory.path.string, "--size", "256M", "--repeat", "9", "--against", "qemu",
        ])
        Thread.sleep(forTimeInterval: wait)
        command.send(SIGKILL)
        #expect(try command.wait() == 128 + SIGKILL)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
      }
    }

    @Test(arguments: ["private", "shared"])
    func qemusOwnSavesAndLoadsStandBesideOurs(memory: String) throws {
      let report = try run([
        "--size", "64M", "--repeat", "2", "--against", "qemu", "--qemu-channels", "2,8",
        "--mix", "alternate", "--memory", memory,
      ])
      #expect(report.verified)
      func rows(_ operation: String, _ contestant: String) -> [Report.Row] {
        report.rows.filter { $0.operation == operation && $0.contestant == contestant }
      }
      for operation in ["save", "restore"] {
        #expect(rows(operation, "qemu").map { $0.settings.first } == ["2", "8"])
        #expect(rows(operation, "mapped-ram").count == 1)
      }
      #expect(rows("map", "mapped-ram").count == 1)
      for row in report.rows where row.operation == "save" { #expect(row.bytes == 32 << 20) }
      for row in report.rows where row.operation != "start" { #expect(row.samples.count == 2) }
      #expect(report.ratios.contains { $0.what == "save: QEMU's time / ours" && $0.value > 0 })
    }

    @Test func layoutsOfCapturesStandBesideEachOther() throws {
      let report = try run([
        "--size", "16M", "--repeat", "1", "--against", "qemu", "--qemu-channels", "1",
        "--layout", "1M,2M",
      ])
      for operation in ["save", "restore", "map"] {
        let ours = report.rows.filter {
          $0.operation == operation && $0.contestant == "mapped-ram"
        }
        #expect(ours.map { $0.settings.suffix(11) } == [", layout 1M", ", layout 2M"])
      }
    }

    @Test func fioWritesAndReadsAsMuch() throws {
      let report = try run([
        "--size", "32M", "--repeat", "1", "--against", "fio", "--memory", "made",
      ])
      let fio = report.rows.filter { $0.contestant == "fio" }
      // Its settings, each writing, reading and copying.
      #expect(fio.count == 9)
      for operation in ["save", "restore", "copy"] {
        #expect(fio.count { $0.operation == operation } == 3)
      }
      #expect(fio.allSatisfy { $0.bytes == 32 << 20 && $0.samples.allSatisfy { $0.seconds > 0 } })
      #expect(report.rows.contains { $0.operation == "to-directory" })
      #expect(report.rows.contains { $0.operation == "from-directory" })
      #expect(report.rows.contains { $0.operation == "memory-read" })
    }

    @Test func aSignalEndsItWithItsQEMUsAndFiles() throws {
      let directory = try TemporaryDirectory()
      let command = try RunningTool([
        "bench", directory.path.string, "--size", "64M", "--repeat", "1000", "--against", "qemu",
        "--progress", "json",
      ])
      try waitUntil { command.errors.contains("\"phase\":\"restore\"") }
      command.send(SIGINT)
      #expect(try command.wait() == 130)
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
      let sockets = try FileManager.default.contentsOfDirectory(atPath: "/tmp")
        .filter { $0.hasPrefix("mapped-ram-bench-\(command.processID)-") }
      #expect(sockets == [])
    }

    @Test(arguments: [("qemu", "--qemu"), ("fio", "")])
    func aProgramThatIsNotThereIsNamed(opponent: String, option: String) throws {
      let directory = try TemporaryDirectory()
      var arguments = [
        "bench", directory.path.string, "--size", "16M", "--repeat", "1", "--against", opponent,
      ]
      if !option.isEmpty { arguments += [option, "no-such-qemu"] }
      let result = try Subprocess.run(
        [Tool.path] + arguments, environment: option.isEmpty ? ["PATH": "/nowhere"] : [:])
      #expect(result.status == 69)
      #expect(result.errors.contains("is not installed"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path.string) == [])
    }
  }
}
