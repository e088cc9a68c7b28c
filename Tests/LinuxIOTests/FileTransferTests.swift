import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FileTransferTests {
  let directory: TemporaryDirectory
  let file: File

  init() throws {
    directory = try TemporaryDirectory()
    let path = directory.file("a")
    try makeFile(path, [0, 1, 2, 3, 4, 5, 6, 7])
    file = try File.open(path, access: .readWrite)
  }

  @Test(
    arguments: [
      (0, 8, 0..<8), (0, 9, 0..<8), (0, 0, 0..<0), (7, 1, 7..<8), (7, 2, 7..<8), (8, 1, 8..<8),
      (8, 0, 8..<8), (1 << 40, 5, 8..<8), (3, 2, 3..<5),
    ] as [(UInt64, Int, Range<Int>)])
  func readsUpToTheEndOfTheFile(offset: UInt64, count: Int, expected: Range<Int>) throws {
    #expect(try file.readBytes(at: offset, count: count) == expected.map { UInt8($0) })
  }

  @Test func writingPastTheEndLeavesZerosBetween() throws {
    try file.write([9], at: 10)
    #expect(try contents(file.path) == [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 9])
  }

  @Test func writingNothingDoesNotLengthen() throws {
    try file.write([], at: 100)
    #expect(try file.size() == 8)
  }

  /// The same random reads and writes on the file and on an array.
  @Test func randomTransfersEqualAnArray() throws {
    var generator = SeededGenerator()
    var model: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7]
    for _ in 0..<300 {
      let offset = Int.random(in: 0...20_000, using: &generator)
      let count = Int.random(in: 0...9000, using: &generator)
      if Bool.random(using: &generator) {
        let bytes = generator.bytes(count)
        try file.write(bytes, at: UInt64(offset))
        if count > 0, model.count < offset + count {
          model += [UInt8](repeating: 0, count: offset + count - model.count)
        }
        model.replaceSubrange(offset..<offset + count, with: bytes, ifNotEmpty: count > 0)
      } else {
        let expected = offset < model.count ? model[offset..<min(offset + count, model.count)] : []
        try #require(try file.readBytes(at: UInt64(offset), count: count) == Array(expected))
      }
    }
    #expect(try contents(file.path) == model)
  }

  @Test(arguments: [UInt64(Int64.max), UInt64(Int64.max) + 1, UInt64.max])
  func offsetsPastTheSignedLimitAreErrors(offset: UInt64) throws {
    let read = #expect(throws: SystemCallError.self) { try file.readBytes(at: offset, count: 1) }
    #expect(read?.errno == .overflow)
    #expect(read?.call == .pread)
    let written = #expect(throws: SystemCallError.self) { try file.write([1], at: offset) }
    #expect(written?.errno == .overflow)
    #expect(written?.call == .pwrite)
  }

  @Test func theLastOffsetOfAllIsReadAsPastTheEnd() throws {
    #expect(try file.readBytes(at: UInt64(Int64.max) - 1, count: 1) == [])
  }

  @Test func writingAFileOpenedForReadingFails() throws {
    let reader = try File.open(file.path, access: .read)
    let expected = SystemCallError(
      call: .pwrite, errno: .badFileDescriptor, subject: .range(file.path, 2..<4))
    #expect(throws: expected) { try reader.write([1, 2], at: 2) }
  }

  /// The file system takes the first part of the write; the error tells where it stopped.
  @Test(.enabled(if: SmallFileSystem.isPermitted, "needs the right to mount"))
  func aFullFileSystemIsReportedWithThePlace() throws {
    let small = try SmallFileSystem(byteCount: 1 << 20)
    let path = small.file("a")
    try makeFile(path, [])
    let file = try File.open(path, access: .readWrite)
    let bytes = [UInt8](repeating: 1, count: 2 << 20)
    let error = #expect(throws: SystemCallError.self) { try file.write(bytes, at: 4096) }
    #expect(error?.errno == .noSpace)
    guard case .range(path, let range)? = error?.subject else {
      Issue.record("the subject is \(String(describing: error?.subject))")
      return
    }
    #expect(range.upperBound == 4096 + 2 << 20)
    #expect(range.lowerBound == (try file.size()))
    #expect(range.lowerBound > 4096)
  }
}

extension [UInt8] {
  /// `replaceSubrange`, which must not see a range past the end.
  fileprivate mutating func replaceSubrange(
    _ range: Range<Int>, with bytes: [UInt8], ifNotEmpty: Bool
  ) {
    if ifNotEmpty { replaceSubrange(range, with: bytes) }
  }
}
