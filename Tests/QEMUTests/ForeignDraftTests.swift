import Foundation
import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

extension RealQEMU {
  /// Images that QEMU writes into a file of ours that has no name yet.
  @Suite struct ForeignDraftTests {
    @Test(
      arguments: [
        VMKind("q35"),
        VMKind("two channels, direct", migration: .init(channels: 2, isDirect: true)),
        VMKind("microvm at an offset", machine: "microvm", migration: .init(offset: 4096)),
      ])
    func imageIsKeptAndRunsOn(_ kind: VMKind) throws {
      let directory = try TemporaryDirectory()
      let qemu = try QEMU(kind.configuration(in: directory))
      try qemu.waitForGuestLines(2)
      let image = directory.file("saved.img")
      let save = try ForeignDraft.begin(at: image, streamOffset: FileOffset(kind.migration.offset))
      // The harness cannot pass descriptors, but QEMU opens ours by its number, without a name as well.
      let link = FilePath(
        "/proc/\(ProcessInfo.processInfo.processIdentifier)/fd/\(save.file.bufferedDescriptor)")
      try qemu.save(to: link, kind.migration)
      #expect(!exists(image))
      let written = try save.commit(expecting: try blocks(of: qemu), runState: .running)
      #expect(written.isComplete)
      let read = try ImageDecoderOracle.read(image, offset: kind.migration.offset)
      #expect(read.complete == true)
      var how = kind.migration
      how.channels = nil
      how.isDirect = false
      try expectRestored(image, as: kind, from: qemu, how)
    }

    /// The used lengths of the blocks, as QEMU lists them.
    private func blocks(of qemu: QEMU) throws -> [String: ByteCount] {
      let answer = try qemu.execute(
        "human-monitor-command", ["command-line": "info ramblock"])
      var found: [String: ByteCount] = [:]
      for line in try #require(answer as? String).split(whereSeparator: \.isNewline).dropFirst() {
        let fields = line.split(separator: " ").map(String.init)
        let numbers = fields.filter { $0.hasPrefix("0x") }
        guard let name = fields.first, numbers.count >= 2 else { continue }
        found[name] = ByteCount(try #require(UInt64(numbers[1].dropFirst(2), radix: 16)))
      }
      return found
    }
  }
}
