import LinuxIO
import SystemPackage
import TestSupport
import Testing

/// What a file system is called, also where stat(2) gives another device than the mount table.
@Suite(.enabled(if: LoopDevice.isAvailable, "needs loop devices"))
struct FileSystemNameTests {
  @Test(arguments: MountedFileSystem.Kind.allCases)
  func aFileSystemIsKnownByName(_ kind: MountedFileSystem.Kind) throws {
    let place = try MountedFileSystem(kind, mebibytes: 384)
    let file = place.path.appending("a")
    try makeFile(file, [1])
    let wanted = kind == .subvolume ? "btrfs" : kind.rawValue
    for path in [place.path, file] {
      let found = try #require(try FileSystem(at: path))
      #expect(found.type == wanted)
      switch kind {
      case .fuse: #expect(found.source.hasSuffix("/below"))
      case .ext4, .xfs, .btrfs, .subvolume: #expect(found.source.hasPrefix("/dev/loop"))
      case .overlay, .tmpfs, .ramfs: #expect(found.source == wanted)
      }
    }
  }

  @Test func whatIsNotThereIsAnError() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: SystemCallError.self) { try FileSystem(at: directory.file("none")) }
  }
}
