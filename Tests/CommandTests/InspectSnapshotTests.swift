import ArgumentParser
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM
@testable import MappedRAMCommands

/// What `inspect` prints for people, as files in Snapshots/; `SNAPSHOT_UPDATE=1` writes them anew.
@Suite struct InspectSnapshotTests {
  @Test func aLiveImage() throws {
    try compare("live", try text("live", parts: ["--sections"]))
  }

  @Test func anImageOfLibvirts() throws { try compare("libvirt", try text("libvirt")) }

  @Test func anImageWithoutSharedBlocks() throws {
    try compare("ignore-shared", try text("ignore-shared"))
  }

  @Test func aDamagedImage() throws { try compare("killed", try text("killed")) }

  @Test func theDevicesOfAnImage() throws {
    try compare("devices", try text("uuid", parts: ["--devices"]))
  }

  @Test func aMapWithStaleSlots() throws {
    var (present, stale) = (PageBitmap(pageCount: 2048), PageBitmap(pageCount: 2048))
    present.insert(3..<70)
    stale.insert(64..<90)
    for page in stride(from: 256, to: 512, by: 3) { present[page] = true }
    present.insert(1024..<2048)
    let inspection = try inspection(present, stale: stale)
    var text = ""
    PageMapText.write(inspection, width: 80) { text += $0 }
    try compare("map-80", text)
    text = ""
    PageMapText.write(inspection, width: 30) { text += $0 }
    try compare("map-30", text)
  }

  @Test func aPicture() throws {
    var (present, stale) = (PageBitmap(pageCount: 300), PageBitmap(pageCount: 300))
    present.insert(1..<4)
    stale.insert(4..<6)
    present.insert(255..<260)
    try compare("picture", PageMapSVG.picture(of: try inspection(present, stale: stale)))
  }

  /// The text of a fixture, with the same numbers on every file system: slots that hold something are what is allocated.
  private func text(_ name: String, parts: [String] = []) throws -> String {
    let fixture = try Fixture(name)
    let directory = try TemporaryDirectory()
    let file = try File.open(
      fixture.unpack(into: directory), access: .read, directIO: .off)
    let command = try #require(
      try InspectCommand.parseAsRoot(["image"] + parts) as? InspectCommand)
    var inspection = try Inspection(
      of: file, streamOffset: nil, wishes: Inspection.Wishes(devices: command.parts.devices))
    inspection.image.path = FilePath("\(name).img")
    inspection.allocatedBytes = 12345
    inspection.hugePageObstacles.removeAll { if case .pagesOffset = $0 { false } else { true } }
    for (index, block) in (fixture.expected.blocks ?? []).enumerated() where !block.ignored {
      let stale = block.stale ?? 0
      inspection.slots[index].pagesStale = Int(stale)
      inspection.slots[index].allocatedBytes = (stale + (block.present ?? 0)) * block.pageSize
    }
    var text = ""
    let options = InspectRun.Options(image: inspection.image.path, parts: command.parts)
    InspectRun(options: options, output: { text += $0 }, complain: { _ in }).writeText(inspection)
    return text
  }

  /// An image of one block with a name that XML cannot have as it is.
  private func inspection(_ present: PageBitmap, stale: PageBitmap) throws -> Inspection {
    let block = try RAMBlock(
      idstr: "a<&>\"b", usedLength: ByteCount(present.pageCount * 4096), pageSize: .fourKiB,
      address: nil, isIgnored: false, at: .zero)
    let directory = try TemporaryDirectory()
    try Subprocess.succeed(["truncate", "-s", "0", directory.file("empty").string])
    let file = try File.open(directory.file("empty"), access: .read, directIO: .off)
    var inspection = try Inspection(of: file, streamOffset: nil)
    inspection.image.path = "<image>"
    inspection.image.blocks = [
      ImageBlock(
        block: block, layout: try BlockLayout(of: block, entry: 0, headerEnd: 64),
        pagesPresent: present.population)
    ]
    var slots = SlotFacts()
    slots.map = PageMap(present: present, stale: stale)
    inspection.slots = [slots]
    return inspection
  }

  private func compare(_ name: String, _ text: String) throws {
    try expectSnapshot("inspect-\(name)", text)
  }
}
