import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Images that say what they are of.
@Suite struct FactsImageTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private static let facts = ImageFacts(
    time: 5, host: "h", name: "n", commandLine: ["qemu"],
    disks: [ImageFacts.DiskFacts(name: "d", file: "/d", format: "raw")])

  private func save(_ plan: SavePlan, to name: String) throws -> FilePath {
    let path = directory.file(name)
    var save = ImageSave(plan)
    save.hasChecksums = plan.hasChecksums
    _ = try save.run(to: path)
    return path
  }

  /// With other areas or none; taken apart and put together it says the same, in the same bytes.
  @Test(arguments: [false, true]) func theyStandBehindTheStream(withOthers: Bool) throws {
    let guest = try TestGuest(pages: 40, step: 3)
    var plan = try guest.plan(tail: TestGuest.describedTail()).with(facts: Self.facts)
    if withOthers {
      plan = try plan.with(devices: [
        DeviceSource(DeviceIdentity("d"), from: TestDevice([.init(bytes: [1, 2, 3])]))
      ])
      plan.hasChecksums = true
    }
    let path = try save(plan, to: "image")
    let image = try Image(at: path)
    #expect(image.facts == Self.facts && image.isComplete && image.remarks == [])
    #expect(
      image.areas.headers.map(\.kind) == (withOthers ? [.devices, .facts, .sums] : [.facts]))
    #expect(try restoreToMemory(path) == [guest.contents(0)])
    let parts = directory.file("parts")
    _ = try DirectoryRestore(ImageRestore(File.open(path, access: .read)), to: parts).run()
    let again = try save(SavePlan.ofDirectory(parts), to: "again")
    #expect(try contents(again) == contents(path))
  }

  /// Whatever is damaged of them, the image is refused.
  @Test func damageIsTold() throws {
    let path = try save(
      TestGuest(pages: 4, step: 3).plan().with(facts: Self.facts), to: "image")
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let range = try #require(try Image(reading: file).areas.headers.first?.range)
    for offset in range.lowerBound.rawValue..<range.upperBound.rawValue {
      let byte = try file.readBytes(at: offset, count: 1)[0]
      try file.write([byte ^ 0x20], at: offset)
      let image = try Image(reading: file)
      #expect(image.facts == nil && !image.problems.isEmpty, "\(offset)")
      try file.write([byte], at: offset)
    }
    #expect(try Image(reading: file).facts == Self.facts)
  }

  @Test func aManifestMustHaveThem() throws {
    let path = try save(TestGuest(pages: 4, step: 3).plan().with(facts: Self.facts), to: "image")
    let parts = directory.file("parts")
    _ = try DirectoryRestore(ImageRestore(File.open(path, access: .read)), to: parts).run()
    let facts = parts.appending("facts.json")
    try Subprocess.succeed(["sh", "-c", "printf '[]' > '\(facts)'"])
    #expect(
      throws: ImageError.format(
        FormatError(.facts(.notObject), at: .zero, in: .area(.facts)), in: facts)
    ) { try SavePlan.ofDirectory(parts) }
    try Subprocess.succeed(["rm", facts.string])
    #expect(throws: ImageError.self) { try SavePlan.ofDirectory(parts) }
  }
}
