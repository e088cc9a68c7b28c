import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// File systems without FIEMAP: tmpfs is one.
@Suite(.enabled(if: MemoryFile.isAvailable)) struct FileExtentsFallbackTests {
  @Test func dataIsFoundWithLseek() throws {
    let memory = try MemoryFile()
    let file = try File.open(memory.path, access: .readWrite, directIO: .off)
    let unit: UInt64 = 1 << 20
    try file.truncate(to: 8 * unit)
    for place in [3, 5] { try file.write([1], at: UInt64(place) * unit) }
    var parts: [Range<UInt64>] = []
    try file.forEachData(in: 0..<8 * unit) { parts.append($0) }
    // Huge pages may be in use, but not beyond a unit here.
    #expect(parts.count == 2)
    #expect(parts.map(\.lowerBound) == [3 * unit, 5 * unit])
    #expect(parts.allSatisfy { $0.upperBound - $0.lowerBound <= unit })
  }
}

/// A file in /dev/shm, removed with the last reference.
private final class MemoryFile {
  let path = FilePath("/dev/shm/mapped-ram-\(UInt64.random(in: 0 ... .max))")

  static let isAvailable =
    (try? Subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"]).text) == "tmpfs\n"

  init() throws { try Subprocess.succeed(["truncate", "-s", "0", path.string]) }

  // Clean-up: nobody is left to tell.
  deinit { _ = try? Subprocess.succeed(["rm", path.string]) }
}
