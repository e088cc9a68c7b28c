import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// `diff` by the built command.
@Suite struct DiffTests {
  private let directory: TemporaryDirectory
  private let image: FilePath
  private let other: FilePath

  /// A page of the BIOS and the clock differ.
  init() throws {
    directory = try TemporaryDirectory()
    image = try Fixture("q35").unpack(into: directory)
    other = directory.file("other")
    try Subprocess.succeed(["cp", "--sparse=always", image.string, other.string])
    let file = try File.open(other, access: .readWrite, directIO: .off)
    let found = try Image(reading: file)
    let block = try #require(found.blocks.first { $0.idstr == "pc.bios" })
    let slots = try #require(block.layout.pages?.lowerBound)
    let page = try #require(try block.readBitmap(from: file)?.runs.first { _ in true }?.lowerBound)
    let timer = try #require(found.sections.first { $0.identity?.idstr == "timer" })
    for place in [
      slots.rawValue + UInt64(page) << 12 + 99, timer.body.lowerBound.rawValue + 7,
    ] {
      let byte = try file.readBytes(at: place, count: 1)[0]
      try file.write([byte ^ 4], at: place)
    }
  }

  @Test func equalImagesAreEqual() throws {
    let parts = directory.file("parts")
    let packed = directory.file("packed")
    try Tool.succeed(["unpack", image.string, parts.string])
    try Tool.succeed(["pack", "--checksums", "--layout", "2M", parts.string, packed.string])
    let result = try Tool.run(["diff", image.string, packed.string])
    #expect(result.status == 0 && result.text == "\(image) and \(packed) are equal\n")
    #expect(result.errors.contains("of RAM present"))
  }

  @Test func whatDiffersIsNamed() throws {
    let result = try Tool.run(["diff", "--pages", "--quiet", image.string, other.string])
    #expect(result.status == 1 && result.errors.isEmpty)
    let lines = result.text.split(separator: "\n").map(String.init)
    #expect(lines[0].hasPrefix("RAMBlock \"pc.bios\": 1 of 64 pages differs, in 1 range"))
    #expect(lines[1].hasSuffix("(4.00 KiB)"), "\(lines[1])")
    #expect(result.text.contains("\ndevice \"timer\": state ("))
    #expect(result.text.contains(" -> "))
    #expect(result.text.contains("\npc.bios: a character is "))
    #expect(lines.last == "\(image) and \(other) differ: 1 RAMBlock (4.00 KiB), 1 device")
  }

  @Test func programsGetAllOfIt() throws {
    let result = try Tool.run(["diff", "--json", "--quiet", image.string, other.string])
    #expect(result.status == 1)
    let object = try JSONSerialization.jsonObject(with: Data(result.text.utf8))
    let report = try #require(object as? [String: Any])
    #expect(report["isEqual"] as? Bool == false && report["machineTypes"] is NSNull)
    let blocks = try #require(report["blocks"] as? [[String: Any]])
    let block = try #require(blocks.first { $0["idstr"] as? String == "pc.bios" })
    #expect(block["kind"] as? String == "pages" && block["differingPages"] as? Int == 1)
    #expect((block["ranges"] as? [[Int]])?.count == 1 && block["isByChunks"] as? Bool == false)
    #expect(blocks.filter { $0["kind"] as? String == "equal" }.count == blocks.count - 1)
    let device = try #require((report["devices"] as? [[String: Any]])?.first)
    #expect(device["idstr"] as? String == "timer" && device["firstDifference"] as? Int == 7)
    let fields = try #require(device["fields"] as? [[String: Any]])
    #expect(fields.count == 1 && fields[0]["first"] is NSNumber && fields[0]["second"] is NSNumber)
  }

  @Test func whatIsNoImageIsAnError() throws {
    let text = directory.file("text")
    try Data("no image at all".utf8).write(to: URL(fileURLWithPath: text.string))
    let result = try Tool.run(["diff", image.string, text.string])
    #expect(result.status == 65 && result.errors.contains("\(text): "))
    #expect(try Tool.run(["diff", image.string, directory.file("none").string]).status == 74)
    #expect(try Tool.run(["diff", image.string]).status == 64)
  }
}
