import LinuxIO
import SystemPackage
import TestSupport
import Testing

@Suite struct FileExtentsTests {
  private static let searches = [File.DataSearch.extents, .seek]
  /// Larger than any file system's block here.
  private static let unit: UInt64 = 65536

  private let directory: TemporaryDirectory
  private let file: File

  init() throws {
    directory = try TemporaryDirectory()
    let path = directory.file("data")
    try Subprocess.succeed(["truncate", "-s", "\(Self.unit * 4096)", path.string])
    file = try File.open(path, access: .readWrite, directIO: .off)
  }

  private func write(_ units: some Sequence<UInt64>, byte: UInt8 = 1) throws {
    let bytes = [UInt8](repeating: byte, count: Int(Self.unit))
    for unit in units { try file.write(bytes, at: unit * Self.unit) }
  }

  private func data(
    in range: Range<UInt64>? = nil, by search: File.DataSearch
  ) throws -> [Range<UInt64>] {
    var parts: [Range<UInt64>] = []
    try file.forEachData(in: range ?? 0..<Self.unit * 4096, by: search) { parts.append($0) }
    return parts
  }

  @Test(arguments: searches)
  func anEmptyFileHasNoData(_ search: File.DataSearch) throws {
    #expect(try data(by: search) == [])
    #expect(try data(in: 5..<5, by: search) == [])
  }

  /// Nothing waits for the disk in between, so most of this has no blocks yet.
  @Test(arguments: searches)
  func findsWhatWasJustWritten(_ search: File.DataSearch) throws {
    try write([0, 1, 7, 4095])
    let unit = Self.unit
    #expect(
      try data(by: search) == [0..<2 * unit, 7 * unit..<8 * unit, 4095 * unit..<4096 * unit])
  }

  @Test(arguments: searches)
  func findsMoreThanOneCallGives(_ search: File.DataSearch) throws {
    try write(stride(from: 1, to: 4096, by: 2))
    try file.syncData()
    let unit = Self.unit
    #expect(
      try data(by: search)
        == stride(from: 1, to: 4096, by: 2).map { $0 * unit..<($0 + 1) * unit })
  }

  @Test(arguments: searches)
  func partsAreCutToTheRange(_ search: File.DataSearch) throws {
    let unit = Self.unit
    try write(2..<6)
    #expect(try data(in: 3 * unit + 5..<4 * unit + 7, by: search) == [3 * unit + 5..<4 * unit + 7])
    #expect(try data(in: 0..<2 * unit, by: search) == [])
    #expect(try data(in: 6 * unit..<9 * unit, by: search) == [])
    #expect(try data(in: 5 * unit..<u64Max, by: search) == [5 * unit..<6 * unit])
  }

  private var u64Max: UInt64 { UInt64(Int64.max) }

  /// What was allocated and never written reads as zeros, but for what was written there since.
  @Test(arguments: searches)
  func allocatedIsNotWritten(_ search: File.DataSearch) throws {
    let unit = Self.unit
    let place = ["-o", "\(10 * unit)", "-l", "\(20 * unit)"]
    try Subprocess.succeed(["fallocate"] + place + [directory.file("data").string])
    try write([12, 13])
    let parts = try data(by: search)
    #expect(parts == [12 * unit..<14 * unit])
    try file.syncData()
    #expect(try data(by: search) == parts)
  }

  @Test func bothSearchesAgreeOnRandomFiles() throws {
    var generator = SeededGenerator()
    for round in 0..<20 {
      let first = generator.next() % 4000
      try write(first..<first + generator.next() % 90)
      let hole = generator.next() % 4000
      try file.punchHole(hole * Self.unit..<(hole + generator.next() % 90) * Self.unit)
      if round % 3 == 0 { try file.syncData() }
      let start = generator.next() % (2048 * Self.unit)
      let range = start..<start + generator.next() % (2048 * Self.unit)
      #expect(try data(in: range, by: .extents) == data(in: range, by: .seek))
    }
  }

  /// tmpfs has no FIEMAP.
  @Test(.enabled(if: TemporaryMemoryFile.isAvailable))
  func worksWithoutFIEMAP() throws {
    let memory = try TemporaryMemoryFile()
    let file = try File.open(memory.path, access: .readWrite, directIO: .off)
    try file.write([1], at: 3 * Self.unit)
    try file.truncate(to: 8 * Self.unit)
    var parts: [Range<UInt64>] = []
    try file.forEachData(in: 0..<8 * Self.unit) { parts.append($0) }
    #expect(parts.count == 1)
    #expect(parts.first?.contains(3 * Self.unit) == true)
    #expect(parts.first.map { $0.upperBound - $0.lowerBound <= Self.unit } == true)
  }
}

/// A file in /dev/shm.
private final class TemporaryMemoryFile {
  let path = FilePath("/dev/shm/mapped-ram-\(UInt64.random(in: 0 ... .max))")

  static let isAvailable =
    (try? Subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"]).text) == "tmpfs\n"

  init() throws { try Subprocess.succeed(["truncate", "-s", "0", path.string]) }

  deinit { _ = try? Subprocess.succeed(["rm", path.string]) }
}
