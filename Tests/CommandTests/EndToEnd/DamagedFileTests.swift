import Foundation
import SystemPackage
import TestSupport
import Testing

/// Every damaged file of `Fixtures/damage`, as a user meets it: by the built command, measured from outside.
@Suite struct DamagedFileCommandTests {
  private struct Result: Decodable {
    var status: Int32
    var seconds: Double
    var peakBytes: UInt64
    var output: String
    var errors: String
  }

  /// Status 65, one clear sentence that names the file, at most 200 MiB, and nothing left of a restore.
  ///
  /// Time is bounded at ten seconds here, since the machines of tests are busy and this is a debug build; the release build is below one.
  @Test func eachIsRefusedWithOneSentence() throws {
    let directory = try TemporaryDirectory()
    let damaged = try DamagedFile.all(in: directory)
    #expect(damaged.count > 60)
    let target = directory.file("restored")
    let inspections = try measure(damaged.map { [Tool.path, "inspect", $0.path.string, "--json"] })
    let restores = try measure(
      damaged.map { [Tool.path, "unpack", $0.path.string, target.string] })
    for (file, (inspection, restore)) in zip(damaged, zip(inspections, restores)) {
      for result in [inspection, restore] {
        #expect(result.status == expectedStatus(of: file), "\(file.name): \(result.errors)")
        #expect(result.errors.contains(file.path.string), "\(file.name): \(result.errors)")
        #expect(result.peakBytes < 200 << 20, "\(file.name)")
        #expect(result.seconds < 10, "\(file.name)")
      }
      #expect(restore.errors.split(separator: "\n").count == 1, "\(file.name): \(restore.errors)")
      #expect(restore.output.isEmpty)
    }
    #expect(!FileManager.default.fileExists(atPath: target.string))
  }

  /// A link that leads nowhere is no bad image: there is nothing to open.
  private func expectedStatus(of file: DamagedFile) -> Int32 {
    FileManager.default.fileExists(atPath: file.path.string) ? 65 : 74
  }

  private func measure(_ commands: [[String]]) throws -> [Result] {
    let directory = try TemporaryDirectory()
    let input = directory.file("commands")
    try JSONEncoder().encode(commands).write(to: URL(fileURLWithPath: input.string))
    let script = FilePath(#filePath).removingLastComponent().removingLastComponent()
      .removingLastComponent().appending("Reference/run_measured.py")
    let output = try Subprocess.succeed(
      ["sh", "-c", "exec python3 \"$0\" < \"$1\"", script.string, input.string], seconds: 600)
    return try JSONDecoder().decode([Result].self, from: Data(output.output))
  }
}
