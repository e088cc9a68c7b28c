import Foundation
import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// What a VM has otherwise than the one that an image is of.
@Suite struct FactsCheckTests {
  private let directory: TemporaryDirectory
  private let saved: FilePath
  private let facts: ImageFacts

  init() throws {
    directory = try TemporaryDirectory()
    saved = directory.file("disk")
    try Self.write(100, to: saved)
    let state: ImageFacts.FileState = try #require(ImageFacts.FileState(of: saved))
    facts = ImageFacts(
      commandLine: ["qemu", "-m", "1G", "-cpu", "max", "-device", "e1000"],
      memoryDevices: [
        ImageFacts.MemoryFacts(kind: "dimm", backend: "a", address: 0x1000, node: 0),
        ImageFacts.MemoryFacts(kind: "dimm", backend: "b", address: 0x2000, node: 0),
      ],
      disks: [
        ImageFacts.DiskFacts(
          name: "vda", file: saved.string, format: "raw", state: state)
      ])
  }

  private static func write(_ count: Int, to path: FilePath) throws {
    try Data(repeating: 7, count: count).write(to: URL(fileURLWithPath: path.string))
  }

  private func disks(
    _ file: FilePath, over: [FilePath] = [], named name: String = "vda", _ facts: ImageFacts? = nil
  ) -> [Deviation] {
    var medium = Disk.Medium(
      node: "n", file: file.string, driver: "raw", isReadOnly: false, isActive: true)
    medium.backingFiles = over.map(\.string)
    let disk = Disk(drive: name, device: nil, isRemovable: false, medium: medium)
    return FactsCheck(facts: facts ?? self.facts).disks([disk], DiskPlaces(ofProcesses: []))
  }

  @Test func theSameFileAsItWasIsRight() throws {
    #expect(disks(saved) == [])
    let (overlay, other) = (directory.file("overlay"), directory.file("other"))
    try overlay.makeOverlay(of: other)
    try other.makeOverlay(of: saved)
    #expect(disks(overlay, over: [other, saved]) == [])
    let link = directory.file("link")
    try FileManager.default.createSymbolicLink(
      atPath: link.string, withDestinationPath: saved.string)
    #expect(disks(link) == [])
    // Numbered otherwise.
    #expect(disks(saved, named: "device[3]") == [])
    // Renamed.
    let renamed = directory.file("renamed")
    try FileManager.default.moveItem(atPath: saved.string, toPath: renamed.string)
    #expect(disks(renamed) == [])
  }

  /// What the guest wrote into an overlay came after the image, as the file below is the one of the image.
  @Test func anOverlayWithContentsIsDangerous() throws {
    let (overlay, other) = (directory.file("overlay"), directory.file("other"))
    try other.makeOverlay(of: saved)
    try overlay.makeOverlay(of: other)
    try Subprocess.succeed(["qemu-io", "-f", "qcow2", "-c", "write -q 0 512", other.string])
    let found = disks(overlay, over: [other, saved])
    #expect(
      found == [.overlayWentOn(disk: "vda", overlay: other.string, file: saved.string)])
    #expect(found[0].isDangerous && !found[0].description.isEmpty)
    // Of another format, it cannot be told.
    try Self.write(10, to: other)
    #expect(
      disks(other, over: [saved]) == [
        .otherDisk(disk: "vda", saved: saved.string, found: other.string)
      ])
  }

  /// A qcow2 file that is at an internal snapshot is as it was then.
  @Test func anInternalSnapshotIsTheDiskOfItsTime() throws {
    let disk = directory.file("disk.qcow2")
    try Subprocess.succeed(["qemu-img", "create", "-q", "-f", "qcow2", disk.string, "10M"])
    func io(_ command: String) throws {
      try Subprocess.succeed(["qemu-io", "-f", "qcow2", "-c", command, disk.string])
    }
    func snapshot(_ words: String...) throws {
      try Subprocess.succeed(["qemu-img", "snapshot", "-q"] + words + [disk.string])
    }
    try io("write -q -P 1 0 1M")
    try snapshot("-c", "old")
    // Snapshots have whole seconds.
    Thread.sleep(forTimeInterval: 1.1)
    try io("write -q -P 2 0 1M")
    let state: ImageFacts.FileState = try #require(ImageFacts.FileState(of: disk))
    var facts = ImageFacts(
      time: state.modifiedSeconds,
      disks: [
        ImageFacts.DiskFacts(name: "vda", file: disk.string, format: "qcow2", state: state)
      ])
    #expect(disks(disk, facts) == [])
    Thread.sleep(forTimeInterval: 1.1)
    try snapshot("-c", "new")
    let later = Deviation.laterSnapshot(disk: "vda", file: disk.string, snapshot: "new")
    #expect(disks(disk, facts) == [later] && !later.isDangerous)
    facts.time = .max
    #expect(disks(disk, facts) == [])
    try io("write -q -P 3 0 512")
    #expect(disks(disk, facts).map(\.isDangerous) == [true])
    try snapshot("-a", "new")
    #expect(disks(disk, facts) == [])
    try snapshot("-a", "old")
    #expect(disks(disk, facts).map(\.isDangerous) == [true])
  }

  @Test func aFileThatWasWrittenToIsDangerous() throws {
    let state = try #require(facts.disks[0].state)
    let overlay = directory.file("overlay")
    try overlay.makeOverlay(of: saved)
    try Self.write(200, to: saved)
    for found in [disks(saved), disks(overlay, over: [saved])] {
      guard case .diskWentOn("vda", saved.string, state, let now)? = found.first else {
        Issue.record("\(found)")
        return
      }
      #expect(now.byteCount == 200 && found.count == 1 && found[0].isDangerous)
      #expect(found[0].description.contains("has 200 bytes, not 100"))
    }
  }

  @Test func anotherFileIsACopyIfItsTimeIsTheSame() throws {
    let copy = directory.file("copy")
    try Subprocess.succeed(["cp", "-p", saved.string, copy.string])
    #expect(disks(copy) == [])
    // Not all programs keep more than seconds.
    let seconds = try #require(facts.disks[0].state).modifiedSeconds
    try Subprocess.succeed(["touch", "-d", "@\(seconds)", copy.string])
    #expect(disks(copy) == [])
    // Of the file itself, that is a write.
    try Subprocess.succeed(["touch", "-d", "@\(seconds)", saved.string])
    #expect(disks(saved).map(\.isDangerous) == [true])
    try Subprocess.succeed(["touch", copy.string])
    #expect(
      disks(copy) == [
        .otherDisk(disk: "vda", saved: saved.string, found: copy.string)
      ])
    // The guest has no such disk: its devices tell.
    #expect(disks(copy, named: "vdb") == [])
  }

  @Test func argumentsThatDecideWhatTheGuestSeesAreCompared() {
    let check = FactsCheck(facts: facts)
    #expect(check.arguments(facts.commandLine) == [])
    #expect(check.arguments([]) == [])
    #expect(FactsCheck(facts: ImageFacts()).arguments(["qemu", "-cpu", "x"]) == [])
    // Memory and devices are told by the blocks and the sections.
    #expect(check.arguments(["q", "-m", "2G", "-cpu", "max"]) == [])
    let found = check.arguments(["q", "-smp", "2"])
    #expect(
      found == [
        .arguments(option: "cpu", saved: ["max"], found: []),
        .arguments(option: "smp", saved: [], found: ["2"]),
      ])
    #expect(found[0].description.contains("-cpu max, this one with no -cpu"))
  }

  @Test func memoryAtAnotherPlaceIsNamed() {
    func device(_ backend: String, _ address: UInt64, _ node: UInt64? = 0) -> MemoryDevice {
      MemoryDevice(
        kind: "dimm", id: "d\(backend)", backend: backend, byteCount: .zero, address: address,
        node: node)
    }
    let check = FactsCheck(facts: facts)
    #expect(check.memory([device("b", 0x2000), device("a", 0x1000), device("c", 0)]) == [])
    #expect(check.memory([]) == [])
    let found = check.memory([device("a", 0x2000), device("b", 0x2000, 1)])
    #expect(found.count == 2 && !found[0].isDangerous)
    #expect(found[0].description.contains("0x1000 in node 0, and is at 0x2000 in node 0"))
  }
}

extension FilePath {
  /// Makes an empty qcow2 overlay here.
  fileprivate func makeOverlay(of base: FilePath) throws {
    let overlay = QCOW2Overlay(byteCount: 1 << 20, backing: base.string, format: "raw").parts
    var bytes = [UInt8](repeating: 0, count: Int(overlay.length))
    for part in overlay.parts {
      let start = Int(part.offset)
      bytes.replaceSubrange(start..<(start + part.bytes.count), with: part.bytes)
    }
    try Data(bytes).write(to: URL(fileURLWithPath: string))
  }
}
