import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage
import TestSupport
import Testing

/// What a mapped file is, on file systems that tell another device in /proc/PID/maps than in stat(2).
@Suite(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
struct MappedIdentityTests {
  @Test(arguments: MountedFileSystem.Kind.allCases)
  func theMapsTellTheFile(_ kind: MountedFileSystem.Kind) throws {
    let place = try MountedFileSystem(kind, mebibytes: 384)
    let (path, other) = (place.path.appending("a"), place.path.appending("b"))
    try makeFile(path, [UInt8](repeating: 1, count: 8192))
    try makeFile(other, [])
    let file = try File.open(path, access: .readWrite, directIO: .off)
    let mapping = try Mapping(file, range: 4096..<8192, mode: .sharedWrite)
    let maps = try MemoryMap.all(of: getpid())
    let map = try #require(maps.first { $0.addresses.contains(mapping.addresses.lowerBound) })
    #expect(try file.mappedIdentity() == map.inode)
    // Also of an empty file, and no two are the same.
    let empty = try File.open(other, access: .read, directIO: .off)
    #expect(try empty.mappedIdentity() != map.inode)
    // Looking leaves nothing behind. (For a moment other tests may look, at all files that are open here.)
    var left = 1
    for _ in 0..<200 where left > 0 {
      left = try MemoryMap.all(of: getpid()).count { $0.path == other.string }
      if left > 0 { usleep(10_000) }
    }
    #expect(left == 0)
    let found = try #require(try ProcessFiles.open(map.inode, of: getpid(), access: .readWrite))
    try found.write([7], at: 5000)
    #expect(try file.readBytes(at: 5000, count: 1) == [7])
  }
}
