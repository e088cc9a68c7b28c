import Glibc
import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FileExtentsTests {
  let directory: TemporaryDirectory
  let file: File
  static let block: UInt64 = 65536
  static let searches = [File.DataSearch.extents, .seek]

  init() throws {
    directory = try TemporaryDirectory()
    try makeFile(directory.file("a"), [])
    file = try File.open(directory.file("a"), access: .readWrite)
  }

  private func parts(
    _ range: Range<UInt64>, _ search: File.DataSearch
  ) throws -> [Range<UInt64>] {
    var found: [Range<UInt64>] = []
    try file.forEachData(in: range, by: search) { found.append($0) }
    return found
  }

  @Test(arguments: searches)
  func anEmptyFileAndAnEmptyRangeHaveNone(search: File.DataSearch) throws {
    #expect(try parts(0..<100, search) == [])
    try file.write([1], at: 0)
    #expect(try parts(0..<0, search) == [])
    #expect(try parts(1 << 30..<1 << 40, search) == [])
  }

  /// Data that was not synced, and then the same after a sync, cut to each range.
  @Test(
    arguments: searches,
    [
      (0..<10, [1..<3, 5..<6]), (0..<1, []), (0..<2, [1..<2]), (2..<3, [2..<3]),
      (2..<6, [2..<3, 5..<6]), (3..<5, []), (6..<10, []), (1..<2, [1..<2]),
    ] as [(Range<UInt64>, [Range<UInt64>])])
  func partsAreMergedAndCutToTheRange(
    search: File.DataSearch, edge: (range: Range<UInt64>, expected: [Range<UInt64>])
  ) throws {
    let block = Self.block
    try file.truncate(to: 10 * block)
    for at in [2, 1, 5] {
      try file.write([UInt8](repeating: 1, count: Int(block)), at: UInt64(at) * block)
    }
    let range = edge.range.lowerBound * block..<edge.range.upperBound * block
    let expected = edge.expected.map { $0.lowerBound * block..<$0.upperBound * block }
    #expect(try parts(range, search) == expected)
    try file.syncData()
    #expect(try parts(range, search) == expected)
  }

  /// Room that posix_fallocate made holds nothing, but what is then written there does, synced
  /// or not.
  @Test(arguments: searches, [false, true])
  func allocatedAndNeverWrittenIsNoData(search: File.DataSearch, isSynced: Bool) throws {
    let block = Self.block
    try #require(posix_fallocate(file.bufferedDescriptor, 0, off_t(10 * block)) == 0)
    try file.syncData()
    #expect(try parts(0..<10 * block, search) == [])
    try file.write([UInt8](repeating: 1, count: Int(block)), at: 3 * block)
    if isSynced { try file.syncData() }
    #expect(try parts(0..<10 * block, search) == [3 * block..<4 * block])
  }

  /// More extents than one call gives.
  @Test(arguments: searches) func thousandsOfExtentsAreAllFound(search: File.DataSearch) throws {
    let page: UInt64 = 4096
    for index in UInt64(0)..<2500 {
      try file.write([1], at: index * 2 * page)
    }
    try file.truncate(to: 5000 * page)
    try file.syncData()
    let found = try parts(0..<5000 * page, search)
    #expect(found.count == 2500)
    #expect(found == (UInt64(0)..<2500).map { $0 * 2 * page..<($0 * 2 + 1) * page })
  }

  /// What a write touched is in the parts; both ways give the same; outside all bytes are zero.
  @Test func bothSearchesFindTheSameAndMissNothing() throws {
    var generator = SeededGenerator()
    let size: UInt64 = 4 << 20
    try file.truncate(to: size)
    for round in 0..<10 {
      for _ in 0..<10 {
        let offset = UInt64.random(in: 0..<size - 30_000, using: &generator)
        let count = Int.random(in: 1...30_000, using: &generator)
        if Int.random(in: 0..<3, using: &generator) == 0 {
          try file.punchHole(offset..<offset + UInt64(count))
        } else {
          try file.write([UInt8](repeating: 255, count: count), at: offset)
        }
      }
      if round % 2 == 0 { try file.syncData() }
      let lower = UInt64.random(in: 0..<size, using: &generator)
      let upper = UInt64.random(in: lower...size, using: &generator)
      let found = try parts(lower..<upper, .extents)
      try #require(try parts(lower..<upper, .seek) == found)
      var position = lower
      for part in found + [upper..<upper] {
        try #require(part.lowerBound >= position && part.upperBound <= upper)
        let gap = try file.readBytes(at: position, count: Int(part.lowerBound - position))
        try #require(gap.allSatisfy { $0 == 0 })
        position = part.upperBound
      }
    }
  }

  @Test func droppedPagesAreReadFromTheDisk() throws {
    try file.write([UInt8](repeating: 7, count: 1 << 20), at: 0)
    try file.syncData()
    try file.dropCache()
    #expect(try contents(file.path) == [UInt8](repeating: 7, count: 1 << 20))
  }
}

@Suite struct DirectoryTests {
  let parent: TemporaryDirectory

  init() throws { parent = try TemporaryDirectory() }

  @Test func isMadeOnceForItsOwnerAlone() throws {
    let path = parent.file("images")
    #expect(try Directory.make(path) == true)
    #expect(try Directory.make(path) == false)
    #expect(try status(path).st_mode & 0o7777 == 0o700)
  }

  @Test func aFileInItsPlaceIsAnError() throws {
    let path = parent.file("images")
    try makeFile(path, [])
    let expected = SystemCallError(call: .mkdir, errno: .notDirectory, subject: .file(path))
    #expect(throws: expected) { try Directory.make(path) }
  }

  @Test func aMissingParentIsAnError() {
    let path = parent.file("none/images")
    let expected = SystemCallError(
      call: .mkdir, errno: .noSuchFileOrDirectory, subject: .file(path))
    #expect(throws: expected) { try Directory.make(path) }
  }

  @Test func isRemovedOnlyWhenEmpty() throws {
    let path = parent.file("images")
    _ = try Directory.make(path)
    try makeFile(path.appending("a"), [])
    Directory.removeIfEmpty(path)
    #expect(try names(in: path) == ["a"])
    try Subprocess.succeed(["rm", path.appending("a").string])
    Directory.removeIfEmpty(path)
    #expect(try names(in: parent.path) == [])
    Directory.removeIfEmpty(path)
  }

  @Test func typesOfPathsAreTold() throws {
    try makeFile(parent.file("a"), [])
    try Subprocess.succeed(["ln", "-s", "a", parent.file("link").string])
    #expect(InodeType(at: parent.path) == .directory)
    #expect(InodeType(at: parent.file("link")) == .regular)
    #expect(InodeType(at: parent.file("none")) == nil)
    #expect(InodeType(at: "/dev/null") == .characterDevice)
    #expect(!File.isBlockDevice(parent.file("a")))
  }

  @Test func aFileIsNoTerminal() throws {
    try makeFile(parent.file("a"), [])
    let file = try File.open(parent.file("a"), access: .read)
    #expect(Terminal.width(of: file.bufferedDescriptor) == nil)
  }
}
