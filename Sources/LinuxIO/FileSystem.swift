import CLinux
import Glibc
public import SystemPackage

/// The file system that a file or directory is on.
public struct FileSystem: Equatable, Sendable {
  /// Its type as the mount table has it: `ext4`, `xfs`, `tmpfs`.
  public var type: String
  /// What is mounted: a device, or a name.
  public var source: String

  /// That of the file or directory at `path` (/proc/self/mountinfo); `nil` where it is not in the mount table.
  ///
  /// - Throws: what stat(2), and reading the table, gives.
  public init?(at path: FilePath) throws(SystemCallError) {
    let descriptor = try openDescriptor(path, flags: CLinux_O_PATH)
    let device = UInt64(try status(of: descriptor.rawValue, path).st_dev)
    var (major, minor): (UInt32, UInt32) = (0, 0)
    // SAFETY: both numbers are written before the call returns, and are not kept.
    unsafe CLinux_deviceNumbers(device, &major, &minor)
    let wanted = "\(major):\(minor)"
    for line in try ProcessText.lines(of: "/proc/self/mountinfo") {
      // ID, parent, device, root, place, options, any fields, "-", type, source, options (proc_pid_mountinfo(5)).
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.count > 3, words[2] == wanted, let dash = words.firstIndex(of: "-"),
        words.indices.contains(dash + 2)
      else { continue }
      type = String(words[dash + 1])
      source = String(words[dash + 2])
      return
    }
    return nil
  }
}
