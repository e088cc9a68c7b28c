import Glibc
import LinuxIO
import LinuxProcesses
import SystemPackage

/// Where the files of a VM's disks are, also those that QEMU was given by a relative path.
struct DiskPlaces {
  /// The working directories of what may be QEMU's process, the likeliest first.
  private let directories: [FilePath]
  /// What may be QEMU's process, the likeliest first.
  private let processes: [Int32]

  /// Looks where `vm` was started, in `processID` alone if it is given.
  init(of vm: RunningVM, processID: Int32?) {
    processes = processID.map { [$0] } ?? vm.possibleProcesses
    directories = processes.compactMap { Self.workingDirectory(of: $0) }
  }

  /// The absolute path of the disk's file, or the URI or other text that says what it is, with absolute paths; `nil` where QEMU's path
  /// is relative to a directory that cannot be found.
  func absoluteName(of disk: Disk) -> String? {
    disk.medium.flatMap { $0.named { absoluteName(of: $0) } }
  }

  /// As the other, for a file as QEMU names it.
  func absoluteName(of file: String) -> String? {
    guard Disk.Medium.isRelativePath(file) else { return file }
    // `..` stays: after a symbolic link it is not what the text says.
    return absolutePaths(of: FilePath(file)).first { InodeType(at: $0) != nil }?.string
  }

  /// The absolute name of the disk's file if it is known, otherwise as QEMU has it.
  func name(of disk: Disk) -> String { absoluteName(of: disk) ?? disk.medium?.file ?? "" }

  /// Whether the disk's file has no name any more: one of QEMU's own for `-snapshot`, which QEMU (10.0.2) unlinks as it opens it, or
  /// one that somebody has removed. What is in it is gone when QEMU ends.
  func isUnlinked(_ disk: Disk) -> Bool {
    guard let name = disk.medium?.bottomFile.map({ FilePath($0) }), let last = name.lastComponent,
      !absolutePaths(of: name).contains(where: { InodeType(at: $0) != nil })
    else { return false }
    // One that may not be looked at, or is another's, says nothing.
    if processes.contains(where: { (try? ProcessFiles.hasUnlinked(last, of: $0)) == true }) {
      return true
    }
    // Then the name has to do: "vl." and six characters (QEMU 10.0, block.c, create_tmp_file).
    return last.string.hasPrefix("vl.") && last.string.utf8.count == 9
  }

  /// What is to be known of such disks, a sentence.
  static func unlinked(_ disks: [String]) -> String {
    "What the guest writes to \(disks.joined(separator: ", ")) goes into a file that has no name (QEMU's -snapshot, or it was removed), "
      + "and is lost when QEMU ends."
  }

  private func absolutePaths(of path: FilePath) -> [FilePath] {
    path.isAbsolute ? [path] : directories.map { $0.pushing(path) }
  }

  /// `path`, a path of this process, for a process with another working directory.
  static func absolute(_ path: FilePath) -> FilePath {
    path.isAbsolute ? path : workingDirectory(of: getpid())?.pushing(path) ?? path
  }

  /// The directory behind /proc/PID/cwd (proc_pid_cwd(5)); `nil` where this process may not see it.
  private static func workingDirectory(of processID: Int32) -> FilePath? {
    guard let path = try? FilePath("/proc/\(processID)/cwd").linkTarget() else { return nil }
    return path.isAbsolute ? path : nil
  }
}
