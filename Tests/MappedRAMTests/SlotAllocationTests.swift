import LinuxIO
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Blocks of pages as large as any file system's blocks here, so that slots are allocated one by one.
@Suite struct SlotAllocationTests {
  private let directory: TemporaryDirectory
  private let file: File
  private let block: ImageBlock
  private static let pageSize: UInt64 = 65536
  private static let pages = 100

  init() throws {
    directory = try TemporaryDirectory()
    let path = directory.file("slots")
    try Subprocess.succeed(["truncate", "-s", "64M", path.string])
    file = try File.open(path, access: .readWrite, directIO: .off)
    block = try Self.block()
  }

  private static func block(isIgnored: Bool = false) throws -> ImageBlock {
    let size = try #require(PageSize(byteCount: pageSize))
    let block = try RAMBlock(
      idstr: "ram", usedLength: ByteCount(UInt64(pages) * pageSize), pageSize: size, address: nil,
      isIgnored: isIgnored, at: .zero)
    return ImageBlock(
      block: block, layout: try BlockLayout(of: block, entry: 100, headerEnd: 200),
      pagesPresent: nil)
  }

  private func fill(_ pages: [Int]) throws {
    let start = try #require(block.layout.pages).lowerBound.rawValue
    for page in pages {
      try file.write(
        [UInt8](repeating: 1, count: Int(Self.pageSize)), at: start + UInt64(page) * Self.pageSize)
    }
  }

  private func bitmap(_ pages: [Int]) -> PageBitmap {
    var bitmap = PageBitmap(pageCount: Self.pages)
    for page in pages { bitmap[page] = true }
    return bitmap
  }

  @Test func staleIsWhatIsAllocatedAndNotPresent() throws {
    try fill([0, 1, 63, 64, 65, 99])
    let found = try SlotAllocation.find(block, present: bitmap([1, 2, 64]), in: file)
    #expect(found?.allocatedBytes == ByteCount(6 * Self.pageSize))
    #expect(found?.stalePages == bitmap([0, 63, 65, 99]))
  }

  @Test func whatLiesBesideTheSlotsDoesNotCount() throws {
    let slots = try #require(block.layout.pages)
    try file.write([UInt8](repeating: 1, count: 1 << 20), at: 0)
    try file.write([UInt8](repeating: 1, count: 1 << 20), at: slots.upperBound.rawValue)
    let found = try SlotAllocation.find(block, present: bitmap([]), in: file)
    #expect(found?.allocatedBytes == 0)
    #expect(found?.stalePages == bitmap([]))
  }

  @Test func aBlockThatIsLeftOutHasNoAnswer() throws {
    let found = try SlotAllocation.find(
      Self.block(isIgnored: true), present: bitmap([]), in: file)
    #expect(found == nil)
  }
}

@Suite struct ImageBitmapTests {
  @Test func everyBitmapIsHandedOverOnceAndInOrder() throws {
    let fixture = try Fixture("ignore-shared")
    let directory = try TemporaryDirectory()
    let file = try File.open(fixture.unpack(into: directory), access: .read, directIO: .off)
    var found: [String] = []
    let image = try Image(reading: file) { block, bitmap in
      found.append(block.idstr)
      #expect(block.pagesPresent == bitmap.population)
    }
    #expect(found == image.blocks.filter { !$0.block.isIgnored }.map(\.block.idstr))
    #expect(found.count == 5)
  }
}
