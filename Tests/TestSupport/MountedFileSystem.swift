import Glibc
public import SystemPackage

/// A file system of some kind, mounted in a directory of its own until the last reference goes. Needs root and loop devices.
public final class MountedFileSystem: Sendable {
  /// Kinds of file systems that tell of files in different ways.
  public enum Kind: String, CaseIterable, Sendable {
    case ext4, xfs, btrfs
    /// A directory of btrfs that is a subvolume.
    case subvolume
    /// An overlay over directories of the file system that holds temporary files.
    case overlay
    case tmpfs
    /// In memory too, and without holes that could be made.
    case ramfs
  }

  /// Where files are to be made.
  public let path: FilePath
  private let directory: TemporaryDirectory
  private let device: LoopDevice?

  /// A file system of `mebibytes`.
  public init(_ kind: Kind, mebibytes: Int = 512) throws {
    let directory = try TemporaryDirectory()
    let mounted = directory.file("mounted")
    try Subprocess.succeed(["mkdir", mounted.string])
    var path = mounted
    var device: LoopDevice?
    switch kind {
    case .tmpfs:
      try Subprocess.succeed(
        ["mount", "-t", "tmpfs", "-o", "size=\(mebibytes)M", "tmpfs", mounted.string])
    case .ramfs: try Subprocess.succeed(["mount", "-t", "ramfs", "ramfs", mounted.string])
    case .overlay:
      let layers = ["lower", "upper", "work"].map { directory.file($0).string }
      try Subprocess.succeed(["mkdir"] + layers)
      try Subprocess.succeed(
        ["mount", "-t", "overlay", "overlay", "-o"]
          + ["lowerdir=\(layers[0]),upperdir=\(layers[1]),workdir=\(layers[2])", mounted.string])
    case .ext4, .xfs, .btrfs, .subvolume:
      let made = try LoopDevice(byteCount: mebibytes << 20, in: directory)
      let type = kind == .subvolume ? "btrfs" : kind.rawValue
      try Subprocess.succeed(["mkfs.\(type)", "-q", made.path.string])
      try Subprocess.succeed(["mount", made.path.string, mounted.string])
      device = made
      if kind == .subvolume {
        path = mounted.appending("volume")
        try Subprocess.succeed(["btrfs", "-q", "subvolume", "create", path.string])
      }
    }
    self.directory = directory
    self.path = path
    self.device = device
  }

  deinit {
    // Children that other tests start have files of it open until they run their programs.
    for attempt in 1...100 {
      do {
        try Subprocess.succeed(["umount", directory.file("mounted").string])
        break
      } catch {
        if attempt == 100 { print("\(path) stays mounted: \(error)") }
        usleep(20_000)
      }
    }
    withExtendedLifetime(device) {}
  }
}
