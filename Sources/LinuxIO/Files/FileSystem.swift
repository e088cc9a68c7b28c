import CLinux
package import SystemPackage

/// The file system that a file or directory is on.
package struct FileSystem: Equatable, Sendable {
  /// Its type as the mount table has it: `ext4`, `xfs`, `tmpfs`.
  package var type: String
  /// What is mounted: a device, or a name.
  package var source: String
  /// The numbers of its device, `major:minor`.
  package var device: String

  /// That of the file or directory at `path` (/proc/self/mountinfo); `nil` where it is not in the mount table.
  ///
  /// It is looked up by the number of its mount: file systems with subvolumes (btrfs) give another device in stat(2) than in the table.
  ///
  /// - Throws: what open(2), and reading the table, gives.
  package init?(at path: FilePath) throws(SystemCallError) {
    let descriptor = try openDescriptor(path, flags: CLinux_O_PATH)
    guard let wanted = try Self.mount(of: descriptor.rawValue) else { return nil }
    for line in try ProcessText.lines(of: "/proc/self/mountinfo") {
      // ID, parent, device, root, place, options, any fields, "-", type, source, options (proc_pid_mountinfo(5)).
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.first == wanted[...], let dash = words.firstIndex(of: "-"),
        words.indices.contains(dash + 2)
      else { continue }
      type = String(words[dash + 1])
      source = String(words[dash + 2])
      device = String(words[2])
      return
    }
    return nil
  }

  /// KiB that the kernel reads ahead of a file that is read in order; `nil` where it does not say.
  package var readAheadKiB: Int? {
    let lines = try? ProcessText.lines(of: FilePath("/sys/class/bdi/\(device)/read_ahead_kb"))
    return lines?.first.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
  }

  /// The number in the mount table of the mount that an open file is on (proc_pid_fdinfo(5)).
  private static func mount(of descriptor: CInt) throws(SystemCallError) -> String? {
    for line in try ProcessText.lines(of: FilePath("/proc/self/fdinfo/\(descriptor)")) {
      let words = String(decoding: line, as: UTF8.self).split { $0 == ":" || $0 == "\t" }
      if words.count == 2, words[0] == "mnt_id" { return String(words[1]) }
    }
    return nil
  }
}
