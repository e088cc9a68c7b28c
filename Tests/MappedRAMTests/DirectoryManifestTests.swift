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
    ("\"streamOffset\"", "\"layout\" : \"3M\", \"streamOffset\"", "layout has the value \"3M\""),
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
    ("\"mapped-ram\"", "\"\"", "configuration has the value {\"capabilities\":[\"\"]}"),
    ("\"none\"", "\"\"", "machineType has the value \"\""),
    ("\"none\"", "\"a\\nb\"", "machineType has the value \"a\\nb\""),
    ("\"mapped-ram\"", "\"xbzrle\"", "configuration has no capability \"mapped-ram\""),
    ("\"capabilities\"", "\"uuid\" : \"12\", \"capabilities\"", "{\"capabilities\":"),
    ("\"capabilities\"", "\"x\"", "configuration has the value {}"),
    ("\"file\" : \"ram0.ram\",", "", "\"ram0\" has no file"),
    ("\"file\" : \"ram0.ram\"", "\"file\" : \"gone.ram\"", "\"gone.ram\" is named"),
    ("\"ramSectionID\" : 1", "\"ramSectionID\" : 0", "ramSectionID is 0"),
    ("\"ramSectionID\" : 1", "\"ramSectionID\" : 1, \"hasFooters\": false", "hasFooters has"),
    ("\"ramSectionID\" : 1", "\"ramSectionID\" : 1, \"prefixFile\": \"p\"", "\"p\" is named"),
    ("\"ramSectionID\" : 1", "\"ramSectionID\" : 1, \"preambleFile\": \"p\"", "\"p\" is named"),
    (
      "\"vmstateFile\" : \"vmstate.bin\"", "\"vmstateFile\" : \"gone.bin\"",
      "\"gone.bin\" is named"
    ),
    ("\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[7, 2]]", "[7, 2]"),
    (
      "\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[-1, 1]]", "[-1, 1]"
    ),
    ("\"usedLength\" : 32768", "\"usedLength\" : 32768, \"presentZeroPages\": [[0]]", "[0]"),
    ("{", "", "is not JSON"),
    ("{", "[1]", "is not JSON"),
  ])
  func aValueThatCannotBeIsNamed(_ old: String, _ new: String, _ message: String) throws {
    try change(old, to: new)
    try expectFailure(message)
  }

  private func change(_ old: String, to new: String) throws {
    let file = try File.open(manifest, access: .readWrite)
    let text = String(decoding: try file.readBytes(at: 0, count: 1 << 20), as: UTF8.self)
    let range = try #require(text.firstRange(of: old))
    let changed = Array(text.replacing(old, with: new, subrange: range).utf8)
    try file.truncate(to: 0)
    try file.write(changed, at: 0)
  }

  private var manifest: FilePath { directory.file(DirectoryManifest.fileName) }

  /// The plan fails, and its error names `file`, by default the manifest, and has `message` in it.
  private func expectFailure(
    _ message: String, in file: FilePath? = nil, location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(sourceLocation: location) {
      _ = try SavePlan.ofDirectory(directory.path)
    } throws: { error in
      guard let error = error as? ImageError else { return false }
      let isRight =
        error.description.contains(message)
        && error.description.hasPrefix("\(file ?? manifest): ")
      if !isRight { print(error) }
      return isRight
    }
  }

  /// The whole list may be gone, as in what is left of a machine without RAM.
  @Test func noBlocksAreTheManifests() throws {
    var changed = try DirectoryManifest(readingFrom: directory.path)
    changed.blocks = []
    try write(changed)
    try expectFailure("blocks is empty")
    changed = try #require(try? DirectoryManifest(readingFrom: directory.path))
    changed.configuration = []
    try write(changed)
    try expectFailure("configuration has no capability \"mapped-ram\"")
  }

  private func write(_ changed: DirectoryManifest) throws {
    let file = try File.open(manifest, access: .readWrite)
    try file.truncate(to: 0)
    try file.write(changed.encoded(), at: 0)
  }

  @Test func anotherPageSizeThanTheOthers() throws {
    var changed = try DirectoryManifest(readingFrom: directory.path)
    var block = changed.blocks[0]
    (block.idstr, block.pageSize, block.usedLength) = ("other", 8192, 32768)
    changed.blocks.append(block)
    try write(changed)
    try expectFailure("pageSize has the value 8192")
  }

  /// Lists of devices that cannot be; of two devices the buffers overlap.
  @Test(arguments: [
    ([DeviceIdentity("")], "devices has the value \"\""),
    ([DeviceIdentity("a", instanceID: 3), DeviceIdentity("a", instanceID: 3)], "\"a:3\""),
    ([DeviceIdentity("a"), DeviceIdentity("b")], "buffers has the value [4095, 4]"),
  ])
  func devicesThatCannotBe(_ identities: [DeviceIdentity], _ message: String) throws {
    var changed = try DirectoryManifest(readingFrom: directory.path)
    let state = try PendingFile.create(at: directory.file("state.bin"))
    try state.file.write([UInt8](repeating: 1, count: 4), at: 0)
    try state.commit()
    changed.devices = identities.enumerated().map { index, identity in
      DirectoryManifest.Device(
        idstr: identity.idstr, instanceID: identity.instanceID, file: "state.bin",
        buffers: [[UInt64(4092 + 3 * index), 4]])
    }
    try write(changed)
    try expectFailure(message)
  }

  @Test func aConfigurationBufferThatIsNotThere() throws {
    var changed = try DirectoryManifest(readingFrom: directory.path)
    changed.devices = [
      DirectoryManifest.Device(
        idstr: "a", instanceID: 0, file: "vmstate.bin", buffers: [[0, 1]],
        configurationBuffers: [1])
    ]
    try write(changed)
    try expectFailure("configurationBuffers has the value 1")
    changed.devices?[0].configurationBuffers = nil
    changed.devices?[0].file = "gone.bin"
    try write(changed)
    try expectFailure("\"gone.bin\" is named")
  }

  /// A file that is cut at a limit is not JSON; that is not what is wrong with it.
  @Test func aManifestOverTheLimitTellsItsSize() throws {
    let limit = UInt64(DirectoryManifest.maximumBytes)
    let file = try File.open(manifest, access: .readWrite)
    let end = try file.size()
    // Spaces behind JSON are JSON.
    try file.write([UInt8](repeating: 0x20, count: Int(limit - end)), at: end)
    _ = try SavePlan.ofDirectory(directory.path)
    try file.write([0x20], at: limit)
    try expectFailure("the file has \(limit + 1) bytes; at most \(limit) fit")
  }

  /// Device state that is none is found while nothing has been written, and is not blamed on the image.
  @Test func deviceStateThatIsNoneIsNamed() throws {
    let file = try File.open(directory.file("vmstate.bin"), access: .readWrite)
    try file.truncate(to: try file.size() - 1)
    try expectFailure("", in: directory.file("vmstate.bin"))
  }

  /// A manifest without `mapped-ram` would make an image that no reader takes; the save says so and writes nothing.
  @Test func aMissingCapabilityIsFoundBeforeTheImageAppears() throws {
    let path = directory.file(DirectoryManifest.fileName)
    let file = try File.open(path, access: .readWrite)
    let text = String(decoding: try file.readBytes(at: 0, count: 1 << 20), as: UTF8.self)
    try file.truncate(to: 0)
    try file.write(Array(text.replacing("mapped-ram", with: "xbzrle").utf8), at: 0)
    let target = directory.file("again")
    #expect(throws: ImageError.plan(.manifest(path, .notMappedRAM))) {
      try ImageSave(SavePlan.ofDirectory(directory.path)).run(to: target)
    }
    #expect(try !names(in: directory).contains("again"))
  }
}
