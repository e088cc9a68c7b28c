import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Requests that are smaller than an extent: each run of an extent takes several.
@Suite struct RequestSizeTests {
  static let pageSizes = PageSize.shifts.compactMap { PageSize(byteCount: 1 << $0) }

  @Test(arguments: pageSizes, [64 << 10, 128 << 10, 1 << 20])
  func everyByteOfAFileIsSavedAndRestored(pageSize: PageSize, requestBytes: Int) throws {
    var generator = SeededGenerator()
    let directory = try TemporaryDirectory()
    let byteCount = 9 << 20
    let pages = byteCount / pageSize.byteCount
    let guest = try TestGuest(
      pages: [pages], pageSize: pageSize, zeroFraction: 0.1, using: &generator)
    let contents = guest.contents(0)
    let raw = try PendingFile.create(at: directory.file("ram"))
    try raw.file.write(contents, at: 0)
    try raw.commit()

    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [
        SavePlan.Block(
          guest.blocks[0].block, pages: try FilePages(reading: directory.file("ram")))
      ], tail: [.bytes(TestGuest.tail)], for: "plan")
    let options = ChannelOptions(queueDepth: 4, requestBytes: requestBytes)
    let image = directory.file("image")
    _ = try ImageSave(plan, options: options).run(to: image)
    #expect(try restoreToMemory(image, options: options) == [contents])
  }
}
