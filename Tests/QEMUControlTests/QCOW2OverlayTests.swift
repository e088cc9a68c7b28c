import Foundation
import LinuxIO
import QEMUArguments
import SystemPackage
import TestSupport
import Testing

@testable import QEMUControl

/// Overlays of disks, and the command line that gets them.
@Suite struct QCOW2OverlayTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test(
    arguments: [
      (0, 4), (512, 4), (512 << 20, 4), (512 << 20 + 512, 4), (4 << 40, 4), (4 << 40 + 512, 5),
    ] as [(UInt64, UInt64)])
  func theTableHasAnEntryForEach512MiB(byteCount: UInt64, clusters: UInt64) {
    let overlay = QCOW2Overlay(byteCount: byteCount, backing: "/b", format: "raw")
    let (parts, length) = overlay.parts
    #expect(length == clusters << 16)
    #expect(parts.map(\.offset) == [0, 1 << 16, 2 << 16])
    #expect(parts[2].bytes == (0..<clusters).flatMap { _ in [0, 1] })
    let header = QCOW2Header(parts[0].bytes)
    #expect(header?.byteCount == byteCount && header?.isEncrypted == false)
    let entries = (byteCount + (512 << 20) - 1) / (512 << 20)
    #expect(parts[0].bytes[36..<40].reduce(0) { $0 << 8 | UInt64($1) } == entries)
  }

  @Test func whatIsNoQCOW2ImageHasNoHeader() {
    let bytes = QCOW2Overlay(byteCount: 512, backing: "/b", format: "raw").parts.parts[0].bytes
    #expect(QCOW2Header(bytes) != nil)
    for count in 0..<QCOW2Header.byteCount { #expect(QCOW2Header(Array(bytes[..<count])) == nil) }
    for (place, value) in [(0, 0), (3, 0xFA), (4, 1), (7, 1), (7, 4)] as [(Int, UInt8)] {
      var other = bytes
      other[place] = value
      #expect(QCOW2Header(other) == nil)
    }
    var encrypted = bytes
    encrypted[35] = 2
    #expect(QCOW2Header(encrypted)?.isEncrypted == true)
  }

  /// The line of a VM with these disks, and their overlays in the directory `clone`.
  private func clones(
    _ words: String...
  ) throws -> (line: QEMUCommandLine, disks: [DiskClone], made: DiskClones) {
    var line = try QEMUCommandLine(parsing: ["qemu"] + words)
    let made = try DiskClones(for: &line, in: directory.file("clone"))
    return (line, made.disks, made)
  }

  private func make(_ name: String, _ bytes: [UInt8]) throws -> FilePath {
    let path = directory.file(name)
    try Data(bytes).write(to: URL(fileURLWithPath: path.string))
    return path
  }

  @Test func eachDiskHasAnOverlayOfItsOwn() throws {
    let raw = try make("raw", [UInt8](repeating: 1, count: 1000))
    let overlay = QCOW2Overlay(byteCount: 3 << 20, backing: raw.string, format: "raw").parts
    let qcow2 = try make("qcow2", overlay.parts[0].bytes)
    let (line, disks, made) = try clones(
      "-drive", "file=\(raw),format=raw,id=a/b", "-drive", "file=\(qcow2),format=qcow2,id=a-b",
      "-hda",
      qcow2.string)
    let names = disks.compactMap { $0.overlay.lastComponent?.string }
    #expect(names == ["a-b.qcow2", "a-b-2.qcow2", "disk2.qcow2"])
    #expect(disks.map(\.file) == [raw, qcow2, qcow2])
    let sizes = try disks.map { disk in
      #expect(File.permissions(at: disk.overlay) == 0o600)
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: disk.overlay.string)))
      return QCOW2Header(bytes)?.byteCount
    }
    #expect(sizes == [1024, 3 << 20, 3 << 20])
    #expect(line.values(of: "hda") == [disks[2].overlay.string])
    made.remove()
    #expect(!FileManager.default.fileExists(atPath: directory.file("clone").string))
  }

  /// What is there is another clone's. What was made before it was found is taken back.
  @Test func anOverlayIsNeverReplaced() throws {
    let raw = try make("raw", [0])
    try FileManager.default.createDirectory(
      atPath: directory.file("clone").string, withIntermediateDirectories: false)
    let taken = try make("clone/b.qcow2", [7])
    #expect(throws: LaunchError.overlayExists(path: taken.string)) {
      try clones("-drive", "file=\(raw),format=raw,id=a", "-drive", "file=\(raw),format=raw,id=b")
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: directory.file("clone").string)
        == ["b.qcow2"])
    #expect(try Data(contentsOf: URL(fileURLWithPath: taken.string)) == Data([7]))
  }

  /// Nothing is made where a disk's format is not certain, or it cannot be looked at.
  @Test func aFormatIsNotGuessed() throws {
    let raw = try make("raw", [UInt8](repeating: 1, count: 1000))
    func refusal(_ words: String...) -> LaunchRefusal.CloneObstacle? {
      do {
        var line = try QEMUCommandLine(parsing: ["qemu"] + words)
        _ = try DiskClones(for: &line, in: directory.file("clone"))
      } catch LaunchError.refused(.cannotClone(_, let obstacle)) {
        return obstacle
      } catch {}
      return nil
    }
    let unknown = LaunchRefusal.CloneObstacle.unknownFormat(file: raw.string)
    #expect(refusal("-hda", raw.string) == unknown)
    #expect(refusal("-drive", "file=\(raw)") == unknown)
    #expect(refusal("-drive", "file=\(raw),format=qcow2") == unknown)
    var bytes = QCOW2Overlay(byteCount: 512, backing: "/b", format: "raw").parts.parts[0].bytes
    bytes[35] = 1
    let encrypted = try make("encrypted", bytes)
    #expect(refusal("-hda", encrypted.string) == .encrypted(file: encrypted.string))
    let missing = #expect(throws: LaunchError.self) {
      try clones("-drive", "file=\(directory.file("missing")),format=raw")
    }
    guard case .system = missing else {
      Issue.record("\(String(describing: missing))")
      return
    }
    #expect(!FileManager.default.fileExists(atPath: directory.file("clone").string))
  }
}
