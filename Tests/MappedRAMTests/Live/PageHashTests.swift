import MappedRAMFormat
import TestSupport
import Testing

@testable import MappedRAM

@Suite struct PageHashTests {
  func hash(_ bytes: [UInt8]) -> ContentSum {
    unsafe bytes.withUnsafeBytes { unsafe ContentSum(of: $0) }
  }

  /// XXH3's own value for the empty input, from its specification's tests (xxhash 0.8, XSUM_XXH3_128bits_testdata, seed 0).
  @Test func itIsXXH3() {
    #expect(
      hash([])
        == ContentSum(high: 0x99AA_06D3_0147_98D8, low: 0x6001_C324_468D_497F))
  }

  @Test func everyBitCounts() {
    var generator = SeededGenerator()
    let page = generator.bytes(4096)
    var found: Set<[UInt64]> = []
    for _ in 0..<2000 {
      var changed = page
      changed[Int.random(in: 0..<4096, using: &generator)] ^=
        1 << UInt8.random(in: 0..<8, using: &generator)
      #expect(hash(changed) != hash(page))
      found.insert([hash(changed).low, hash(changed).high])
    }
    #expect(hash(page) == hash(page) && found.count > 1000)
  }

  @Test func hashesAreRememberedForEachPage() throws {
    let hashes = try PageHashes(pageCount: 3)
    #expect(hashes.byteCount == 48)
    let (one, two) = (hash([1]), hash([2]))
    for page in 0..<3 {
      #expect(hashes.update(page, to: one))
      #expect(!hashes.update(page, to: one))
    }
    #expect(hashes.update(1, to: two))
    #expect(!hashes.update(0, to: one) && !hashes.update(2, to: one) && !hashes.update(1, to: two))
  }

  @Test func pagesThatAreDroppedMoveToTheOtherBitmap() {
    let (present, freed) = (SharedBitmap(pageCount: 200), SharedBitmap(pageCount: 200))
    for page in [0, 63, 64, 65, 127, 128, 199] { present.insert(page) }
    present.move(63..<128, to: freed)
    #expect(present.bitmap.runs.map(\.self) == [0..<1, 128..<129, 199..<200])
    #expect(freed.bitmap.runs.map(\.self) == [63..<66, 127..<128])
    present.move(0..<0, to: freed)
    present.move(0..<200, to: freed)
    #expect(present.bitmap.population == 0 && freed.bitmap.population == 7)
    #expect(freed.contains(0) && !freed.contains(1) && freed.contains(199))
  }
}
