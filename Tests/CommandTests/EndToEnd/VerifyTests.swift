import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

/// `verify` by the built command: whole, damaged, without checksums, and no image at all.
@Suite struct VerifyTests {
  private let directory: TemporaryDirectory
  private let plain: FilePath
  private let image: FilePath

  init() throws {
    directory = try TemporaryDirectory()
    plain = try Fixture("q35").unpack(into: directory)
    image = directory.file("image")
    let parts = directory.file("parts")
    try Tool.succeed(["unpack", plain.string, parts.string])
    try Tool.succeed(["pack", "--checksums", parts.string, image.string])
  }

  private func verify(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let result = try Tool.run(["verify"] + arguments)
    return (result.status, String(decoding: result.output, as: UTF8.self))
  }

  private func json(_ path: FilePath) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(
      with: Data(verify(["--json", path.string]).output.utf8))
    return try #require(object as? [String: Any])
  }

  private func sha256(_ path: FilePath) throws -> String {
    try Subprocess.succeed(["sh", "-c", "sha256sum <'\(path)'"]).text
  }

  @Test func aWholeImageIsWhole() throws {
    let (status, output) = try verify([image.string])
    #expect(status == 0)
    #expect(output.hasPrefix("\(image): whole: ") && output.contains("as they were saved"))
    let report = try json(image)
    #expect(report["isWhole"] as? Bool == true && report["hasChecksums"] as? Bool == true)
    #expect((report["damage"] as? [Any])?.isEmpty == true)
    let root = try verify(["--root", image.string])
    #expect(root.status == 0)
    #expect(root.output == "\(report["root"] as? String ?? "")\n")
    #expect(root.output.hasPrefix("xxh3-128:") && root.output.count == 9 + 32 + 1)
  }

  /// Another layout is another file, and the same contents.
  @Test func theRootIsTheSameInAnotherLayout() throws {
    let other = directory.file("other")
    try Tool.succeed(
      ["pack", "--checksums", "--layout", "2M", directory.file("parts").string, other.string])
    #expect(
      try verify(["--root", other.string]).output == verify(["--root", image.string]).output)
  }

  @Test func damageIsNamed() throws {
    let file = try File.open(image, access: .readWrite, directIO: .off)
    let found = try Image(reading: file)
    let block = try #require(found.blocks.first { $0.idstr == "pc.bios" })
    let slots = try #require(block.layout.pages?.lowerBound)
    let page = try #require(try block.readBitmap(from: file)?.runs.first { _ in true }?.lowerBound)
    let place = slots.rawValue + UInt64(page) << 12 + 99
    let byte = try file.readBytes(at: place, count: 1)[0]
    try file.write([byte ^ 4], at: place)
    let (status, output) = try verify([image.string])
    #expect(status == 1)
    #expect(output.hasPrefix("damaged   RAMBlock \"pc.bios\": pages 0x"), "\(output)")
    #expect(output.contains("damaged: 1 of ") && output.contains("device state whole"))
    #expect(try verify(["--root", image.string]).output.isEmpty)
    let report = try json(image)
    let damage = try #require((report["damage"] as? [[String: Any]])?.first)
    #expect(damage["kind"] as? String == "pages" && damage["idstr"] as? String == "pc.bios")
    #expect(report["root"] is NSNull && report["damagedChunkCount"] as? Int == 1)

    try file.write([byte], at: place)
    let timer = try #require(found.sections.first { $0.identity?.idstr == "timer" })
    try file.write([0x77], at: timer.body.lowerBound.rawValue + 3)
    let told = try verify([image.string])
    #expect(told.status == 1)
    #expect(told.output.hasPrefix("damaged   state of device \"timer\", 0x"), "\(told.output)")
  }

  @Test func withoutChecksumsTheAnswerIsNo() throws {
    let (status, output) = try verify([plain.string])
    #expect(status == 1 && output.contains("it has no checksums"))
    #expect(try json(plain)["hasChecksums"] as? Bool == false)
    // Without its areas it is the plain one.
    let file = try File.open(image, access: .readWrite, directIO: .off)
    try file.truncate(to: try #require(Image(reading: file).tail?.upperBound.rawValue))
    #expect(try sha256(image) == sha256(plain))
  }

  @Test func whatIsNoImageIsAnError() throws {
    let other = directory.file("other")
    try Data("no image at all".utf8).write(to: URL(fileURLWithPath: other.string))
    let result = try Tool.run(["verify", other.string])
    #expect(result.status == 65 && result.errors.hasPrefix("Error: "))
    #expect(try Tool.run(["verify", directory.file("none").string]).status == 74)
    #expect(try Tool.run(["verify", "--root", "--json", image.string]).status == 64)
  }

  /// Taken apart and put together it has them again, to the byte; or not, if that is asked for.
  @Test func packMakesThemWhereTheyWere() throws {
    let (parts, copy) = (directory.file("again").string, directory.file("copy"))
    try Tool.succeed(["unpack", image.string, parts])
    try Tool.succeed(["pack", parts, copy.string])
    #expect(try sha256(copy) == sha256(image))
    try Tool.succeed(["pack", "--no-checksums", parts, copy.string])
    #expect(try sha256(copy) == sha256(plain))
  }

  @Test func theImageIsNotChanged() throws {
    let before = try sha256(image)
    _ = try verify([image.string])
    #expect(try sha256(image) == before)
  }
}
