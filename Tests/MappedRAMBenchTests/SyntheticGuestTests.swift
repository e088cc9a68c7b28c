import LinuxIO
import MappedRAM
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAMBench

@Suite struct SyntheticGuestTests {
  private static let pageBytes = 4096

  private func page(_ number: UInt64, of guest: SyntheticGuest) throws -> [UInt8] {
    let pages = try MemoryPages(byteCount: Self.pageBytes)
    // SAFETY: the buffer has room for a page and is nobody else's.
    unsafe pages.withUnsafeMutableBytes { bytes in
      if let base = bytes.baseAddress { unsafe guest.make(number, in: base) }
    }
    return pages.allBytes
  }

  /// What a check says about these bytes, given to it as page `number`.
  private func check(
    _ bytes: [UInt8], as number: UInt64, of guest: SyntheticGuest
  ) throws -> SyntheticCheck {
    let check = SyntheticCheck(guest)
    let pages = try MemoryPages(byteCount: bytes.count)
    pages.put(bytes, at: 0)
    var outcome: Result<Void, SystemCallError> = .success(())
    // SAFETY: the bytes are whole pages; the check does not keep them.
    unsafe pages.withUnsafeMutableBytes { memory in
      do throws(SystemCallError) {
        try unsafe check.copy(
          from: UnsafeRawBufferPointer(memory), to: number * UInt64(Self.pageBytes))
      } catch {
        outcome = .failure(error)
      }
    }
    try outcome.get()
    return check
  }

  @Test func equalParametersMakeEqualMemoryAndOthersDoNot() throws {
    func bytes(seed: UInt64) throws -> [UInt8] {
      try page(5, of: try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 0, seed: seed))
    }
    #expect(try bytes(seed: 1) == bytes(seed: 1))
    #expect(try bytes(seed: 1) != bytes(seed: 2))
  }

  @Test func aPageIsGoodAtItsOwnPlaceOnly() throws {
    let guest = try SyntheticGuest(byteCount: 256 << 20, zeroFraction: 0, seed: 3)
    // Around the arena's end, where the random bytes begin again.
    for number: UInt64 in [0, 1, 16_383, 16_384, 16_385, 65_535] {
      let bytes = try page(number, of: guest)
      #expect(try check(bytes, as: number, of: guest).mismatchedPages == 0)
      for other: UInt64 in [2, 16_384 + 2, 65_534] {
        #expect(try check(bytes, as: other, of: guest).firstMismatch == other)
      }
    }
  }

  @Test func everyFlippedBitIsFound() throws {
    let guest = try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 0, seed: 4)
    let good = try page(7, of: guest)
    for index in stride(from: 0, to: Self.pageBytes, by: 31) {
      var bytes = good
      bytes[index] ^= 1 << (index % 8)
      #expect(try check(bytes, as: 7, of: guest).mismatchedPages == 1, "byte \(index)")
    }
  }

  @Test func aZeroPageMustBeZero() throws {
    let guest = try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 1, seed: 5)
    var bytes = [UInt8](repeating: 0, count: Self.pageBytes)
    #expect(try check(bytes, as: 9, of: guest).mismatchedPages == 0)
    bytes[4095] = 1
    #expect(try check(bytes, as: 9, of: guest).mismatchedPages == 1)
  }

  @Test func aPageThatIsNotZeroMustNotBeMissing() throws {
    let guest = try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 0, seed: 0)
    let zeros = [UInt8](repeating: 0, count: Self.pageBytes)
    #expect(try check(zeros, as: 0, of: guest).mismatchedPages == 1)
  }

  @Test func theFirstOfSeveralMismatchesIsKept() throws {
    let guest = try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 0, seed: 6)
    let found = try check(
      [UInt8](repeating: 0, count: 3 * Self.pageBytes), as: 40, of: guest)
    #expect(found.checkedPages == 3)
    #expect(found.mismatchedPages == 3)
    #expect(found.firstMismatch == 40)
  }

  @Test(arguments: [0, 0.1, 0.5, 0.9, 1])
  func aboutAsManyPagesAreZeroAsAskedForInRunsOf16(fraction: Double) throws {
    let guest = try SyntheticGuest(byteCount: 1 << 30, zeroFraction: fraction, seed: 7)
    let zeros = (0..<guest.pageCount).count { guest.isZero($0) }
    #expect(abs(Double(zeros) / Double(guest.pageCount) - fraction) < 0.02)
    for page in stride(from: 0, to: guest.pageCount, by: 16) {
      #expect(guest.isZero(page) == guest.isZero(page + 15))
    }
  }

  @Test(arguments: [1, 63, 64, 65, 5000], [0, 0.5, 1])
  func itsImageIsWholeAndComesBack(pages: UInt64, zeroFraction: Double) throws {
    let guest = try SyntheticGuest(
      byteCount: pages * UInt64(Self.pageBytes), zeroFraction: zeroFraction,
      seed: SeededGenerator.seedOfRun)
    let directory = try TemporaryDirectory()
    let path = directory.file("image")
    _ = try ImageSave(try guest.plan(for: path)).run(to: path)
    let file = try File.open(path, access: .read)
    #expect(try Image(reading: file).isComplete)
    let check = SyntheticCheck(guest)
    _ = try ImageRestore(file).run { _ in check }
    #expect(check.isGood)
    #expect(check.checkedPages == pages)
  }

  @Test func aByteThatChangesInTheFileIsFound() throws {
    let guest = try SyntheticGuest(byteCount: 4 << 20, zeroFraction: 0, seed: 8)
    let directory = try TemporaryDirectory()
    let path = directory.file("image")
    _ = try ImageSave(try guest.plan(for: path)).run(to: path)
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let place = try #require(Image(reading: file).blocks[0].layout.pages).lowerBound.rawValue
    // The last byte of page 77.
    let offset = place + 78 * 4096 - 1
    try file.write([try file.readBytes(at: offset, count: 1)[0] ^ 0x80], at: offset)
    let check = SyntheticCheck(guest)
    _ = try ImageRestore(file).run { _ in check }
    #expect(!check.isGood)
    #expect(check.mismatchedPages == 1)
    #expect(check.firstMismatch == 77)
  }

  @Test func savedIntoAnOpenFileItIsTheSame() throws {
    let guest = try SyntheticGuest(byteCount: 1 << 20, zeroFraction: 0.5, seed: 9)
    let directory = try TemporaryDirectory()
    let (one, two) = (directory.file("one"), directory.file("two"))
    let save = ImageSave(try guest.plan(for: one))
    _ = try save.run(to: one)
    let pending = try PendingFile.create(at: two)
    _ = try save.run(into: pending.file)
    let size = Int(try pending.file.size())
    let expected = try File.open(one, access: .read).readBytes(at: 0, count: size + 1)
    #expect(try pending.file.readBytes(at: 0, count: size + 1) == expected)
  }
}
