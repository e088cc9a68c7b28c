import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Images of machines whose properties turn section footers off.
@Suite struct FooterlessImageTests {
  /// Taken apart and put together, the image is the same: no footer appears.
  @Test func comesBackWithoutFooters() throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let guest = try TestGuest(pages: [8], using: &generator)
    var tail = ByteOutput()
    StreamElement.end(id: 1).encode(into: &tail)
    RAMWord.endOfSection.encode(into: &tail)
    StreamElement.endOfStream.encode(into: &tail)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration, hasFooters: false),
      blocks: guest.blocks.map { SavePlan.Block($0.block, pages: $0.pages) },
      tail: [.bytes(tail.bytes)], for: "plan")
    let (original, parts, copy) = (
      directory.file("original"), directory.file("parts"), directory.file("copy")
    )
    _ = try ImageSave(plan).run(to: original)
    let file = try File.open(original, access: .read)
    #expect(try Image(reading: file).prologue?.hasFooters == false)
    _ = try DirectoryRestore(ImageRestore(file), to: parts).run()
    _ = try ImageSave(SavePlan.ofDirectory(parts)).run(to: copy)
    #expect(try sha256(copy) == sha256(original))
  }
}
