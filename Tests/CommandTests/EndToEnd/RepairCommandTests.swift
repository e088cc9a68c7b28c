import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// `repair` by the built command: from a copy and from a directory, in part, refused, and killed.
@Suite struct RepairCommandTests {
  private let directory: TemporaryDirectory
  private let whole: FilePath
  private let image: FilePath
  private let slots: UInt64
  private let present: PageBitmap

  init() throws {
    directory = try TemporaryDirectory()
    whole = try Fixture("areas").unpack(into: directory)
    image = directory.file("image")
    try Subprocess.succeed(["cp", "--sparse=always", whole.string, image.string])
    let file = try File.open(image, access: .read, directIO: .off)
    let block = try #require(
      try Image(reading: file).blocks.max { $0.usedLength < $1.usedLength })
    slots = try #require(block.layout.pages?.lowerBound.rawValue)
    present = try #require(try block.readBitmap(from: file))
  }

  private func damage(_ offset: UInt64) throws {
    let file = try File.open(image, access: .readWrite, directIO: .off)
    try file.write([~(try file.readBytes(at: offset, count: 1)[0])], at: offset)
  }

  private func isTheSame() throws -> Bool {
    try Subprocess.run(["cmp", "--quiet", whole.string, image.string]).status == 0
  }

  private func pages() -> [Int] { present.runs.flatMap { Array($0) } }

  @Test func aDamagedImageIsWholeAgain() throws {
    let page = try #require(pages().first)
    try damage(slots + UInt64(page) << 12 + 9)
    try damage(3)
    #expect(try Tool.run(["verify", image.string]).status == 1)
    let result = try Tool.run(["repair", "--json", image.string, "--from", whole.string])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(result.output)) as? [String: Any])
    #expect(report["isWhole"] as? Bool == true && report["root"] is String)
    #expect((report["remaining"] as? [Any])?.isEmpty == true)
    let repaired = try #require(report["repaired"] as? [[String: Any]])
    #expect(repaired.map { $0["kind"] as? String } == ["stream", "pages"])
    #expect(repaired.allSatisfy { $0["from"] as? String == whole.string })
    #expect(repaired[1]["firstPage"] as? Int == page && repaired[1]["pageCount"] as? Int == 1)
    #expect(try isTheSame())
    let again = try Tool.run(["repair", image.string, "--from", whole.string])
    #expect(again.status == 0)
    #expect(again.text == "\(image): whole: there was nothing to repair\n")
  }

  @Test func whatStaysDamagedIsNamed() throws {
    let page = try #require(pages().first)
    try damage(slots + UInt64(page) << 12 + 9)
    let other = try Fixture("pc").unpack(into: directory)
    let result = try Tool.run(["repair", image.string, "--from", other.string])
    #expect(result.status == 1)
    #expect(result.text.hasPrefix("damaged   RAMBlock \"microvm.ram\": pages 0x"), "\(result.text)")
    #expect(result.text.contains(" (1 chunk of 64 KiB of pages) is in none of the others"))
  }

  @Test func whatIsRefused() throws {
    let plain = try Fixture("pc").unpack(into: directory)
    let none = try Tool.run(["repair", plain.string, "--from", whole.string])
    #expect(none.status == 69 && none.errors.contains("mapped-ram seal"), "\(none.errors)")
    #expect(try Tool.run(["repair", image.string]).status == 64)
    #expect(try Tool.run(["repair", image.string, "--from", image.string]).status == 64)
    let file = try File.open(image, access: .read, directIO: .off)
    try file.lock(.shared)
    let used = try Tool.run(["repair", image.string, "--from", whole.string])
    #expect(used.status == 73 && used.errors.contains("a VM runs on it"), "\(used.errors)")
    #expect(try isTheSame())
  }

  /// Killed at any moment: each byte is the one that was there, or the right one; and the next repair ends it.
  @Test func killedAtAnyMomentItIsNoWorse() throws {
    var generator = SeededGenerator()
    let right = try Data(contentsOf: URL(fileURLWithPath: whole.string))
    for round in 0..<8 {
      for page in pages() where page % 2 == 0 { try damage(slots + UInt64(page) << 12 + 9) }
      try damage(3)
      let before = try Data(contentsOf: URL(fileURLWithPath: image.string))
      let tool = try RunningTool(["repair", image.string, "--from", whole.string])
      usleep(UInt32.random(in: 0..<600_000, using: &generator))
      tool.send(SIGKILL)
      _ = try tool.wait()
      let after = try Data(contentsOf: URL(fileURLWithPath: image.string))
      #expect(after.count == before.count)
      for start in stride(from: 0, to: after.count, by: 4096) {
        let range = start..<min(start + 4096, after.count)
        guard after[range] != before[range], after[range] != right[range] else { continue }
        let isWorse = range.contains { after[$0] != before[$0] && after[$0] != right[$0] }
        #expect(!isWorse, "round \(round)")
      }
      #expect(try Tool.run(["repair", image.string, "--from", whole.string]).status == 0)
      #expect(try isTheSame())
    }
  }
}
