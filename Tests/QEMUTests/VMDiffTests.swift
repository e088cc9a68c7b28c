import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import QEMUControl
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// What has changed between two saves of one VM, and since a save.
  @Suite struct VMDiffTests {
    let directory: TemporaryDirectory
    let source: QEMU

    /// Memory that is private, and some that is shared.
    init() throws {
      directory = try TemporaryDirectory()
      source = try QEMU(
        VMKind("q35") {
          $0.arguments = [
            "-m", "slots=1,maxmem=256M", "-object",
            "memory-backend-memfd,id=m,size=16M,share=on", "-device", "pc-dimm,memdev=m",
          ]
        }.configuration)
      try source.waitForGuestLines(2)
    }

    private func save(_ name: String, _ change: (inout VMSave) -> Void = { _ in }) throws
      -> FilePath
    {
      let path = directory.file(name)
      _ = try source.saveVM(to: path) {
        $0.engine = .capture
        $0.hasChecksums = true
        change(&$0)
      }
      return path
    }

    private func diff(_ words: String...) throws -> Subprocess {
      try Tool.run(["diff"] + words)
    }

    /// Nothing but the clock that goes with the host's, which does not stand still where the VM does.
    private func expectSame(_ result: Subprocess, location: SourceLocation = #_sourceLocation) {
      let heads = result.text.split(separator: "\n").filter { !$0.hasPrefix(" ") }.dropLast()
      let others = heads.filter { !$0.hasPrefix("device \"mc146818rtc\"") }
      #expect(
        result.status == (heads.isEmpty ? 0 : 1) && others.isEmpty, "\(result.text)",
        sourceLocation: location)
    }

    /// The guest counts, and its clock goes on: nothing else.
    private func expectChanges(_ result: Subprocess, location: SourceLocation = #_sourceLocation) {
      #expect(
        result.status == 1 && result.text.contains("RAMBlock \"pc.ram\": "), "\(result.text)",
        sourceLocation: location)
      #expect(!result.text.contains("only in"), "\(result.text)", sourceLocation: location)
    }

    @Test func twoImagesOfOneVM() throws {
      // The images have its run state.
      try source.stop()
      let first = try save("first") { $0.layout = .qemu }
      let second = try save("second") { $0.layout = .hugePages }
      expectSame(try diff(first.string, second.string))
      // QEMU's own image of the same moment.
      let own = try save("own") { $0.engine = .qemu }
      expectSame(try diff(first.string, own.string))
      try source.execute("cont")
      try source.waitForGuestLines(try source.guestLines().count + 2)
      let later = try save("later")
      let bySums = try diff(first.string, later.string)
      let byContents = try diff("--contents", first.string, later.string)
      expectChanges(bySums)
      expectChanges(byContents)
      #expect(bySums.text.contains("in chunks of 64 KiB"))
      #expect(!byContents.text.contains("in chunks"))
      // QEMU's description tells of the fields; that of a capture does not.
      let fields = try diff(own.string, later.string).text
      #expect(fields.contains("  runstate: \"paused\" -> \"running\"\n"), "\(fields)")
    }

    /// A paused VM is equal to its image, and stays paused; one that runs is resumed, and what it did is told.
    @Test func anImageAndItsVM() throws {
      try source.stop()
      let image = try save("image")
      let socket = source.qmpSocket.string
      for words in [[image.string, socket], ["--contents", image.string, socket]] {
        let same = try Tool.run(["diff"] + words)
        expectSame(same)
        #expect(!same.errors.contains("Paused for"))
      }
      #expect(try source.execute("query-status") is [String: Any])
      #expect(
        (try source.execute("query-status") as? [String: Any])?["status"] as? String == "paused")
      try source.execute("cont")
      try source.waitForGuestLines(try source.guestLines().count + 2)
      let result = try diff(image.string, socket)
      expectChanges(result)
      #expect(result.errors.contains("Paused for "))
      #expect(!result.text.contains("RAMBlock \"m\""))
      try source.expectGoesOn()
      let json = try diff("--json", "--quiet", image.string, socket)
      let object = try JSONSerialization.jsonObject(with: Data(json.text.utf8))
      let report = try #require(object as? [String: Any])
      #expect(report["subject"] as? String == "vm" && report["downtimeSeconds"] is NSNumber)
      try source.expectGoesOn()
    }

    @Test func whatCannotBeComparedIsRefused() throws {
      let socket = source.qmpSocket.string
      let text = directory.file("text")
      try Data("no image".utf8).write(to: URL(fileURLWithPath: text.string))
      let refused = try diff(text.string, socket)
      #expect(refused.status == 65 && refused.errors.contains("\(text): "))
      let image = try save("image")
      let other = try diff("--pid", "1", image.string, socket)
      #expect([69, 77].contains(other.status), "\(other.status) \(other.errors)")
      try source.expectGoesOn()
    }
  }
}
