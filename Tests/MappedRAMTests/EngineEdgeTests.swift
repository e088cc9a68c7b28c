import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Sources that are not what they were when they were opened.
@Suite struct EngineEdgeTests {
  /// What somebody cut off a raw file is not taken for zeros.
  @Test(arguments: [0, 1, 1 << 20, (4 << 20) - 4096] as [UInt64])
  func rawFileThatIsCutDuringTheSaveIsAnError(_ length: UInt64) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("pc.ram")
    let raw = try PendingFile.create(at: path).file
    try raw.truncate(to: 4 << 20)
    let pages = try FilePages(reading: raw)
    let block = try RAMBlock(idstr: "pc.ram", usedLength: 4_194_304, pageSize: .fourKiB)
    let configuration = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram"])])
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: configuration),
      blocks: [SavePlan.Block(block, pages: pages)], tail: [], for: path)
    try raw.truncate(to: length)
    #expect { try ImageSave(plan).run(to: directory.file("image")) } throws: { error in
      if case .endedEarly(let file, _)? = error as? ImageError { file == path } else { false }
    }
  }

  /// A manifest may say anything of where the stream begins: sums past the largest file are refused before they trap.
  @Test(arguments: [0, 1 << 20, 9 << 20, .max >> 1, .max >> 1 + 4096] as [UInt64])
  func streamBeyondTheLargestFileIsRefused(_ below: UInt64) throws {
    let offset = UInt64.max - below
    let block = try RAMBlock(idstr: "pc.ram", usedLength: 4_194_304, pageSize: .fourKiB)
    let configuration = Configuration(
      machineType: "none", subsections: [.capabilities(["mapped-ram"])])
    let tail = [UInt8](repeating: 0, count: 9 << 20)
    #expect {
      try SavePlan(
        prologue: StreamPrologue(configuration: configuration),
        blocks: [SavePlan.Block(block, pages: nil)], tail: [.bytes(tail)],
        streamOffset: FileOffset(offset), for: "image")
    } throws: { error in
      if case .format(let error, _)? = error as? ImageError {
        error.kind == .numberOverflow
      } else {
        false
      }
    }
  }

  /// A file that always wants to be asked again can be given up.
  @Test(.timeLimit(.minutes(15))) func endlessRetriesCanBeCancelled() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [100], zeroFraction: 0, using: &generator)
    let cancellation = Cancellation()
    let faults = Faults { count, _, _ in
      if count == 1000 { cancellation.cancel() }
      return .error(.resourceTemporarilyUnavailable)
    }
    var save = ImageSave(try guest.plan())
    save.factory = FaultyFactory(faults: faults)
    #expect(throws: ImageError.cancelled) {
      try save.run(to: directory.file("image"), cancellation: cancellation)
    }
  }
}
