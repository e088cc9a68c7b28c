package import SystemPackage

/// A block device over a file, detached when the last reference goes. Needs root and losetup(8).
package final class LoopDevice: Sendable {
  /// The device.
  package let path: FilePath

  /// A device over `file`.
  package init(_ file: FilePath) throws {
    let found = try Subprocess.succeed(["losetup", "--find", "--show", file.string])
    path = FilePath(String(found.text.prefix { $0 != "\n" }))
  }

  /// A device over a new file of `byteCount` bytes, all holes, in `directory`.
  package convenience init(byteCount: Int, in directory: TemporaryDirectory) throws {
    let file = directory.file("disk")
    try Subprocess.succeed(["truncate", "-s", String(byteCount), file.string])
    try self.init(file)
  }

  /// Sets how much is read ahead of files on it that are opened from now on.
  package func setReadAhead(kibibytes: Int) throws {
    try Subprocess.succeed(["blockdev", "--setra", "\(kibibytes * 2)", path.string])
  }

  deinit {
    do {
      try Subprocess.succeed(["losetup", "--detach", path.string])
    } catch {
      print("\(path) stays attached: \(error)")
    }
  }

  /// Whether this machine and this user can have one.
  package static let isAvailable: Bool = {
    do {
      _ = try LoopDevice(byteCount: 1 << 20, in: TemporaryDirectory())
      return true
    } catch {
      return false
    }
  }()
}
