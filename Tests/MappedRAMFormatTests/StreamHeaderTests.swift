import MappedRAMFormat
import Testing

@Suite struct StreamHeaderTests {
  let bytes: [UInt8] = [0x51, 0x45, 0x56, 0x4D, 0, 0, 0, 3]

  @Test func readsAndWritesItsEightBytes() throws {
    #expect(bytes.count == StreamHeader.byteCount)
    try expectRoundTrip(bytes, StreamHeader.init(parsing:)) { $0.encode(into: &$1) }
  }

  @Test func everyPrefixIsCutOff() throws {
    try expectTruncation(of: bytes, StreamHeader.init(parsing:))
  }

  @Test(arguments: [0, 1, 2, 4, 0x0300_0000, .max] as [UInt32])
  func otherVersionsAreRefused(_ version: UInt32) throws {
    #expect(
      try failure(Array(bytes.prefix(4)) + be(version), at: 0x10, StreamHeader.init(parsing:))
        == FormatError(.unsupportedStreamVersion(found: version), at: 0x14, in: .streamHeader))
  }

  @Test(arguments: 0..<4) func eachByteOfTheMagicCounts(_ index: Int) throws {
    var wrong = bytes
    wrong[index] ^= 0x80
    #expect(
      try failure(wrong, at: 7, StreamHeader.init(parsing:))
        == FormatError(
          .notAStream(found: Array(wrong.prefix(4)), looksLike: nil), at: 7, in: .streamHeader))
  }

  @Test func saysWhatTheFileLooksLike() throws {
    let zeros = [UInt8](repeating: 0, count: 600)
    #expect(
      try failure(zeros, StreamHeader.init(parsing:)).kind
        == .notAStream(found: [0, 0, 0, 0], looksLike: .zeros))
  }
}

@Suite struct ForeignFormatTests {
  @Test(
    arguments: [
      (.gzip, [0x1F, 0x8B, 8, 0]), (.bzip2, ascii("BZh91AY")),
      (.xz, [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]), (.lzop, [0x89, 0x4C, 0x5A, 0x4F, 0]),
      (.zstd, [0x28, 0xB5, 0x2F, 0xFD, 4]), (.qcow2, [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3]),
      (.elf, [0x7F, 0x45, 0x4C, 0x46, 2]), (.text, ascii("hello\tworld\r\n")),
      (.zeros, [0]), (.tar, [UInt8](repeating: 0x66, count: 257) + ascii("ustar\0")),
    ] as [(ForeignFormat, [UInt8])])
  func isToldByItsFirstBytes(_ format: ForeignFormat, _ head: [UInt8]) {
    #expect(ForeignFormat(head: head) == format)
  }

  @Test func magicThatIsCutOffIsUnknown() {
    #expect(ForeignFormat(head: [0x1F]) == nil)
    #expect(ForeignFormat(head: [0xFD, 0x37, 0x7A, 0x58]) == nil)
    #expect(ForeignFormat(head: [0] + [UInt8](repeating: 7, count: 256) + ascii("usta")) == nil)
  }

  @Test func nothingAndNoiseAreUnknown() {
    #expect(ForeignFormat(head: []) == nil)
    #expect(ForeignFormat(head: [0, 0, 1]) == nil)
    #expect(ForeignFormat(head: ascii("text") + [0x80]) == nil)
  }
}
