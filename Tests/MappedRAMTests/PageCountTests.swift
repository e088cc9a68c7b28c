import LinuxIO
import MappedRAMFormat
import TestSupport
import Testing

@testable import MappedRAM

/// How many pages an image has is told without keeping its bitmaps.
@Suite struct PageCountTests {
  /// Pages whose bits are looked at together.
  private static let part = ImageWindow.readAhead * 8

  /// Counted in parts as in whole: also at the ends of the parts, and past the last page.
  @Test(arguments: [1, 63, 64, 66, part - 1, part, part + 1, 2 * part + 66])
  func theCountIsThatOfTheBitmap(pageCount: Int) throws {
    let block = try RAMBlock(
      idstr: "pc.ram", usedLength: ByteCount(UInt64(pageCount) << 12), pageSize: .fourKiB)
    let layout = try BlockLayout(of: block, entry: 0, headerEnd: 1003)
    let place = try #require(layout.bitmap)
    let file = try File.inMemory(name: "image", byteCount: layout.end.rawValue)
    var generator = SeededGenerator()
    // Of the bits past the last page that the last word has.
    let bitCount = Int(place.byteCount.rawValue) * 8
    var bytes = [UInt8](repeating: 0, count: bitCount / 8)
    let ends = [0, Self.part - 1, Self.part, 2 * Self.part, pageCount - 1, pageCount, bitCount - 1]
    let some = (0..<100).map { _ in Int.random(in: 0..<pageCount, using: &generator) }
    for bit in ends + some where bit < bitCount { bytes[bit / 8] |= 1 << UInt8(bit % 8) }
    try file.write(bytes, at: place.lowerBound.rawValue)

    var window = try ImageWindow(ImageFile(file))
    let image = ImageBlock(block: block, layout: layout)
    let whole = try #require(try window.readBitmap(of: image))
    let counted = try #require(try window.countPages(of: image))
    #expect(counted.present == whole.bitmap.population && counted.present > 0)
    #expect(counted.stray == whole.strayBits && (counted.stray > 0) == (bitCount > pageCount))
  }

  /// The same for images of QEMU's.
  @Test(arguments: Fixture.complete)
  func theCountIsThatOfTheBitmaps(fixture: Fixture) throws {
    let directory = try TemporaryDirectory()
    let file = try File.open(fixture.unpack(into: directory), access: .read)
    var counts: [String: Int] = [:]
    let read = try Image(reading: file) { (block, bitmap) throws(ImageError) in
      counts[block.idstr] = bitmap.population
    }
    #expect(try Image(reading: file) == read)
    #expect(counts == read.blocks.reduce(into: [:]) { $0[$1.idstr] = $1.pagesPresent })
  }
}
