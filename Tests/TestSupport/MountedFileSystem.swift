import Foundation
import Glibc
package import SystemPackage

/// A file system of some kind, mounted in a directory of its own until the last reference goes. Needs root and loop devices.
package final class MountedFileSystem: Sendable {
  /// Kinds of file systems that tell of files in different ways.
  package enum Kind: String, CaseIterable, Sendable {
    case ext4, xfs, btrfs
    /// A directory of btrfs that is a subvolume.
    case subvolume
    /// An overlay over directories of the file system that holds temporary files.
    case overlay
    case tmpfs
    /// In memory too, and without holes that could be made.
    case ramfs
    /// Of a program (FUSE): bindfs over a directory of the file system that holds temporary files.
    case fuse
  }

  /// Where files are to be made.
  package let path: FilePath
  private let directory: TemporaryDirectory
  /// What it is on, where it has a device of its own.
  package let device: LoopDevice?

  /// A file system of `mebibytes`.
  package init(_ kind: Kind, mebibytes: Int = 512) throws {
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
    case .fuse:
      let below = directory.file("below")
      try Subprocess.succeed(["mkdir", below.string])
      try Self.serve(below, at: mounted)
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

  /// Starts bindfs, which ends once it is unmounted.
  ///
  /// It stays in the foreground: Foundation takes a program for running as long as a child of it is.
  private static func serve(_ directory: FilePath, at place: FilePath) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["bindfs", "-f", directory.string, place.string]
    process.standardInput = FileHandle.nullDevice
    try process.run()
    for _ in 0..<500 {
      if try Subprocess.run(["mountpoint", "-q", place.string]).status == 0 { return }
      guard process.isRunning else { break }
      usleep(10_000)
    }
    process.terminate()
    throw HarnessError("bindfs did not mount \(place)")
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
