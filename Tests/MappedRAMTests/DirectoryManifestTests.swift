import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Manifests that people, programs or accidents have changed.
@Suite struct DirectoryManifestTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    var generator = SeededGenerator()
    let guest = try TestGuest(pages: [8], using: &generator)
    let image = directory.file("image")
    _ = try ImageSave(try guest.plan()).run(to: image)
    _ = try DirectoryRestore(
      ImageRestore(try File.open(image, access: .read)), to: directory.path
    ).run()
  }

  /// Each change of one value gives a plan error that names the manifest and the value.
  @Test(arguments: [
    ("\"schemaVersion\" : 1", "\"schemaVersion\" : 2", "schemaVersion is 2"),
    ("\"file\" : \"ram0.ram\"", "\"file\" : \"../ram0.ram\"", "\"../ram0.ram\" is not the name"),
    ("\"file\" : \"ram0.ram\"", "\"file\" : \"/etc/passwd\"", "is not the name of a file"),
    ("\"pageSize\" : 4096", "\"pageSize\" : 0", "pageSize has the value 0"),
    ("\"pageSize\" : 4096", "\"pageSize\" : 4097", "pageSize has the value 4097"),
    ("\"usedLength\" : 32768", "\"usedLength\" : 0", "the used length is 0"),
    ("\"usedLength\" : 32768", "\"usedLength\" : 32769", "no multiple of the page size"),
    ("\"usedLength\" : 32768", "\"usedLength\" : 36864", "have 32768 bytes; expected 36864"),
    ("\"usedLength\" : 32768", "\"usedLength\" : 18446744073709551615", "over the limit"),
    ("\"usedLength\" : 32768", "\"usedLength\" : -1", "out of range"),
    ("\"usedLength\" : 32768", "\"usedLength\" : \"x\"", "blocks.[0].usedLength"),
    ("\"idstr\" : \"ram0\"", "\"idstr\" : \"\"", "the name is empty"),
    ("\"idstr\" : \"ram0\"", "\"idstr\" : \"a\\u0000b\"", "not printable"),
    ("\"idstr\" : \"ram0\",", "", "has no key \"idstr\""),
    ("\"mapped-ram\"", "\"\"", "configuration has the value"),
    ("\"vmstateFile\" : \"vmstate.bin\"", "\"vmstateFile\" : \"gone.bin\"", "gone.bin"),
    ("\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[7, 2]]", "[7, 2]"),
    (
      "\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[-1, 1]]", "[-1, 1]"
    ),
    ("\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[0]]", "[0]"),
    ("{", "", "is not JSON"),
    ("{", "[1]", "is not JSON"),
  ])
  func aValueThatCannotBeIsNamed(_ old: String, _ new: String, _ message: String) throws {
    let path = directory.file(DirectoryManifest.fileName)
    let file = try File.open(path, access: .readWrite)
    let text = String(decoding: try file.readBytes(at: 0, count: 1 << 20), as: UTF8.self)
    let range = try #require(text.firstRange(of: old))
    let changed = Array(text.replacing(old, with: new, subrange: range).utf8)
    try file.truncate(to: 0)
    try file.write(changed, at: 0)
    #expect {
      _ = try DirectorySave.plan(from: directory.path)
    } throws: { error in
      guard let error = error as? ImageError else { return false }
      return error.description.contains(message) && error.description.contains("\(directory.path)")
    }
  }

  /// A manifest without `mapped-ram` would make an image that no reader takes; the save says so and writes nothing.
  @Test func aMissingCapabilityIsFoundBeforeTheImageAppears() throws {
    let path = directory.file(DirectoryManifest.fileName)
    let file = try File.open(path, access: .readWrite)
    let text = String(decoding: try file.readBytes(at: 0, count: 1 << 20), as: UTF8.self)
    try file.truncate(to: 0)
    try file.write(Array(text.replacing("mapped-ram", with: "xbzrle").utf8), at: 0)
    let target = directory.file("again")
    #expect(throws: ImageError.self) {
      try ImageSave(DirectorySave.plan(from: directory.path)).run(to: target)
    }
    #expect(try !names(in: directory).contains("again"))
  }
}
