import Glibc
import LinuxIO
import LinuxProcesses
import MappedRAMFormat
import SystemPackage
import TestSupport
import Testing

@testable import MappedRAM

/// Saves of memory that a process has mapped privately from a file, as a guest that runs on an image; the process is this one.
@Suite struct PrivateFilePagesTests {
  static let pageCount = 3000
  static let pageBytes = 4096
  /// What stands before the block in the file.
  static let start: UInt64 = 1 << 20

  /// Where the file is.
  enum Place: CaseIterable { case disk, memory }

  /// A file with data here and there, mapped privately, and written to here and there.
  struct Clone {
    let directory: TemporaryDirectory
    let file: File
    let mapping: Mapping
    var expected: [UInt8]

    init(_ place: Place) throws {
      directory = try TemporaryDirectory()
      var generator = SeededGenerator()
      let byteCount = UInt64(pageCount * pageBytes)
      if place == .memory {
        file = try File.inMemory(name: "image", byteCount: start + byteCount)
      } else {
        try File.make(directory.file("image"), [1])
        file = try File.open(directory.file("image"), access: .readWrite)
        try file.truncate(to: start + byteCount)
      }
      // Runs, single pages, one that begins in the middle of an extent and ends in the middle of the next.
      for pages in [0..<1, 7..<8, 200..<300, 1000..<1003, 2560..<2816, 2999..<3000] {
        try file.write(
          generator.bytes(pages.count * pageBytes), at: start + UInt64(pages.lowerBound * pageBytes)
        )
      }
      try file.syncData()
      try file.dropCache()
      mapping = try Mapping(file, range: start..<start + byteCount, mode: .privateWrite)
      expected = try file.readBytes(at: start, count: Int(byteCount))
      try file.dropCache()
      // Over data, over holes, at a border of both, and zeros over data, as a restore puts them over stale slots.
      for page in [7, 210, 211, 299, 300, 301, 1500, 2559, 2998] {
        put(generator.bytes(pageBytes), page)
      }
      for page in [220, 1000, 2999] { put([UInt8](repeating: 0, count: pageBytes), page) }
    }

    private mutating func put(_ bytes: [UInt8], _ page: Int) {
      mapping.put(bytes, at: page * pageBytes)
      expected.replaceSubrange(page * pageBytes..<(page + 1) * pageBytes, with: bytes)
    }

    func pages() throws -> PrivateFilePages {
      try PrivateFilePages(
        ProcessMemory(of: getpid()), at: mapping.address, pageMap: PageMap(of: getpid()),
        file: FilePages(file, startingAt: start, byteCount: UInt64(mapping.byteCount)))
    }

    /// Pages of the file that are in memory, and pages that this process has of the mapping.
    func present() throws -> [Int] {
      let other = try Mapping(
        file, range: start..<start + UInt64(mapping.byteCount), mode: .read)
      let cached = try (0..<pageCount).filter { page in
        try other.residentCount(of: page * pageBytes..<(page + 1) * pageBytes) > 0
      }
      return [cached.count, try mapping.presentPages()]
    }
  }

  /// What is saved is what the process sees, and nothing has come into memory: neither of the process, nor of the page cache.
  @Test(arguments: Place.allCases, LiveSaveTests.shapes)
  func aSaveTouchesNothing(_ place: Place, _ options: ChannelOptions) throws {
    let clone = try Clone(place)
    let path = clone.directory.file("saved")
    let (before, allocated) = (try clone.present(), try clone.file.allocatedBytes())
    #expect(before[1] == 12)
    let report = try saveAlone(try clone.pages(), to: path, options: options)
    #expect(try clone.present() == before)
    #expect(try clone.file.allocatedBytes() == allocated)
    #expect(try restoreToMemory(path) == [clone.expected])
    #expect(clone.mapping.allBytes == clone.expected)
    // 362 pages have data, and 5 more were written.
    #expect(report.totals.bytesRead <= UInt64(380 * Self.pageBytes))
  }

  /// What is in the page cache is read from there, and the kernel reads nothing ahead then.
  @Test(arguments: [0..<3000, 250..<260, 0..<1])
  func whatIsInMemoryIsReadFromThere(_ pages: Range<Int>) throws {
    let clone = try Clone(.disk)
    _ = try clone.file.readBytes(
      at: Self.start + UInt64(pages.lowerBound * Self.pageBytes),
      count: pages.count * Self.pageBytes)
    let path = clone.directory.file("saved")
    let before = try clone.present()
    _ = try saveAlone(try clone.pages(), to: path)
    #expect(try clone.present() == before)
    #expect(try restoreToMemory(path) == [clone.expected])
  }

  /// Rounds of a live save follow what the process writes meanwhile: over data, and over holes.
  @Test(arguments: Place.allCases)
  func aLiveSaveFollows(_ place: Place) throws {
    var clone = try Clone(place)
    let test = try LiveSaveTests()
    let pages = try clone.pages()
    let block = try RAMBlock(
      idstr: "ram", usedLength: ByteCount(pages.byteCount), pageSize: .fourKiB)
    let plan = try SavePlan(
      prologue: StreamPrologue(configuration: TestGuest.configuration),
      blocks: [SavePlan.Block(block, pages: pages)], tail: [.bytes(TestGuest.tail)], for: "plan")
    var save = try ImageSave(plan).begin(to: test.path, live: LiveSaveTests.rounds(1))
    try save.runRounds()
    for page in [5, 205, 1800, 2999] {
      let bytes = [UInt8](repeating: UInt8(page & 127) + 1, count: Self.pageBytes)
      clone.mapping.put(bytes, at: page * Self.pageBytes)
      clone.expected.replaceSubrange(
        page * Self.pageBytes..<(page + 1) * Self.pageBytes, with: bytes)
    }
    _ = try save.writePages(plan).finish()
    #expect(try restoreToMemory(test.path) == [clone.expected])
  }

  /// Of a file that was cut the process itself would get SIGBUS: an error, and no image.
  @Test func aFileThatWasCutIsAnError() throws {
    let clone = try Clone(.disk)
    let pages = try clone.pages()
    try clone.file.truncate(to: Self.start + UInt64(250 * Self.pageBytes))
    let path = clone.directory.file("saved")
    let error = #expect(throws: ImageError.self) { try saveAlone(pages, to: path) }
    guard case .system(let reason)? = error else {
      throw HarnessError("\(String(describing: error))")
    }
    #expect(reason.description.contains("image"))
    #expect(InodeType(at: path) == nil)
    #expect(throws: SystemCallError.self) { try clone.pages() }
  }
}
